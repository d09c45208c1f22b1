"""A pool that reaches a limit of its process: alone it drains and stops, below a supervisor it waits for a word."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from pleme_redis_django import JobStatus
from pleme_redis_django.jobs.interface.events import (
    DrainRequested,
    JobStarted,
    ProcessLimitReached,
    RecycleBegun,
    WorkerStopped,
)
from pleme_redis_django.jobs.maintenance import recycling
from tests.jobs.pool_bench import DEADLINE_SECONDS, Bench
from tests.jobs.recording import FunctionExecutor
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def _looked_at_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recycling, "LOOK_SECONDS", 0.01)


def test_a_pool_of_its_own_lets_what_runs_end_and_stops(bench: Bench) -> None:
    gate, both_run = threading.Event(), threading.Barrier(2)
    ran: list[Any] = []

    def handler(job: Any) -> None:
        ran.append(job.id)
        if both_run.wait(DEADLINE_SECONDS):
            gate.wait(DEADLINE_SECONDS)  # The other one has ended, and reached the limit.

    bench.add(2)
    pool = bench.pool(FunctionExecutor(handler), worker_count=2, max_jobs_per_process=1, grace_seconds=0)
    running = threading.Thread(target=pool.start)
    running.start()
    wait_until(lambda: bench.sink.of(RecycleBegun))
    gate.set()
    running.join(DEADLINE_SECONDS)
    assert not running.is_alive()
    assert bench.statuses().count(JobStatus.COMPLETED) == len(ran) == 2
    (stopped,) = bench.sink.of(WorkerStopped)
    assert (stopped.given_back, stopped.given_back_running) == (0, 0), "no grace ends: nobody hurries"
    assert bench.sink.of(RecycleBegun)[0].reason == "it has run 1 jobs"
    assert not bench.sink.of(DrainRequested)


def test_below_a_supervisor_it_works_on_until_another_process_is_there(bench: Bench) -> None:
    pool = bench.pool(max_jobs_per_process=1, has_supervisor=True)
    pool.launch()
    bench.add(1)
    wait_until(lambda: bench.sink.of(ProcessLimitReached))
    bench.add(20)
    wait_until(lambda: len(bench.ran) == 21)
    assert len(bench.sink.of(ProcessLimitReached)) == 1
    assert not bench.sink.of(RecycleBegun)
    pool.recycle()
    wait_until(lambda: bench.sink.of(WorkerStopped))
    bench.add(1)
    assert len(bench.sink.of(JobStarted)) == 21
