"""Starts: what is written down of a job that began."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from pleme_redis_django import JobStatus
from pleme_redis_django.jobs.interface.endings import GivenBack
from pleme_redis_django.jobs.maintenance.starts import StartRecords
from pleme_redis_django.jobs.worker.holdings import Holdings
from pleme_redis_django.testing import MemoryJobStore
from tests.jobs.pool_bench import DEAD, DEADLINE_SECONDS, NEVER_SECONDS, Bench
from tests.jobs.recording import (
    AsyncFunctionExecutor,
    FunctionExecutor,
    claimed,
    held,
)
from tests.waiting import wait_until


def test_the_start_of_a_job_that_was_given_back_is_recorded_at_once(bench: Bench) -> None:
    """It may be what takes hosts along, and leaves no other trace of having run."""
    gate = threading.Event()
    bench.add(2)
    first = bench.store.claim_next_job(DEAD)
    assert first is not None
    assert first.claim is not None
    bench.store.finish_jobs([GivenBack(job_id=first.id, claim=first.claim)])
    pool = bench.pool(
        FunctionExecutor(lambda job: gate.wait(DEADLINE_SECONDS) and None), lease_sweep_seconds=NEVER_SECONDS
    )
    pool.launch()
    wait_until(lambda: bench.store.load_job(first.id).started_at is not None)
    gate.set()
    wait_until(lambda: bench.statuses() == [JobStatus.COMPLETED] * 2)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_job_that_keeps_coming_back_starts_once_its_start_is_written(bench: Bench, kind: str) -> None:
    """Its handler may hold the interpreter's lock from its first step on, so that nobody here can write it then."""
    seen: list[Any] = []

    def look(job: Any) -> None:
        seen.append(bench.store.load_job(job.id).started_at)

    async def alook(job: Any) -> None:
        look(job)

    bench.add(1, attempt=6)
    bench.add(1, attempt=5)
    executor = FunctionExecutor(look) if kind == "sync" else AsyncFunctionExecutor(alook)
    bench.pool(executor, worker_count=1, async_count=1, lease_sweep_seconds=NEVER_SECONDS).launch()
    wait_until(lambda: bench.statuses() == [JobStatus.COMPLETED] * 2)
    assert [at is not None for at in seen] == [True, False]


def test_a_start_is_told_as_of_when_it_was() -> None:
    """The duty comes seconds later, and those would be missing from how long the job ran."""
    told: list[float] = []

    class Recording(MemoryJobStore):
        def record_starts(self, starts: Sequence[Any]) -> None:
            told.extend(seconds for _id, _claim, seconds in starts)

    store, holdings = Recording(), Holdings()
    running = held(claimed(store, DEAD), started=True)
    running.started_at = time.monotonic() - 5
    holdings.add([running])
    no_maintainer: Any = None
    StartRecords(store, holdings, no_maintainer).write()
    assert told == [pytest.approx(5, abs=2)]
