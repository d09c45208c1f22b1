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
from pleme_redis_django.jobs.worker_pool import shutdown
from tests.jobs.pool_bench import DEADLINE_SECONDS, Bench
from tests.jobs.recording import AsyncFunctionExecutor, FunctionExecutor, claimed, held
from tests.waiting import await_until, wait_until


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


@pytest.mark.parametrize("is_async", [False, True], ids=["thread", "loop"])
@pytest.mark.parametrize("is_hurried", [False, True], ids=["recycled", "recycled-at-once"])
def test_what_gets_no_slot_is_given_back_while_others_still_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, is_async: bool, is_hurried: bool
) -> None:
    """It was claimed ahead, and every slot is taken for long."""
    gate = threading.Event()

    def block(job: Any) -> None:
        assert gate.wait(2 * DEADLINE_SECONDS)

    async def wait(job: Any) -> None:
        await await_until(gate.is_set)

    bench.add(1)
    executor = AsyncFunctionExecutor(wait) if is_async else FunctionExecutor(block)
    pool = bench.pool(executor, worker_count=1, async_count=1)
    pool.launch()
    wait_until(lambda: bench.sink.of(JobStarted))
    ahead = held(claimed(bench.store, pool.identity.worker_id))
    pool._parts.holdings.add([ahead])
    pool._parts.lanes[0].submit([ahead])
    if is_hurried:
        monkeypatch.setattr(shutdown, "HOARDED_AFTER_SECONDS", 3_000)
    pool.recycle()
    wait_until(lambda: bench.registry.draining)
    if is_hurried:
        pool._parts.agenda.leaving.recycle("a handler did not heed its timeout")
    try:
        wait_until(lambda: bench.statuses() == [JobStatus.RUNNING, JobStatus.QUEUED])
    finally:
        gate.set()
    assert pool._shutdown.is_over.wait(DEADLINE_SECONDS)
    assert bench.statuses() == [JobStatus.COMPLETED, JobStatus.QUEUED]
    (stopped,) = bench.sink.of(WorkerStopped)
    assert (stopped.given_back, stopped.given_back_running) == (1, 0)
