"""The end of a pool: what is given back, what may end, and how often."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import pytest

from pleme_redis_django import JobStatus
from pleme_redis_django.exceptions import LockedJobs
from pleme_redis_django.jobs.interface.endings import Ending
from pleme_redis_django.jobs.interface.events import (
    DrainRequested,
    EndingDelayed,
    JobStarted,
    WorkerStopped,
)
from pleme_redis_django.jobs.interface.workers import WorkerStanding
from pleme_redis_django.jobs.worker import delayed_endings
from pleme_redis_django.jobs.worker_pool import shutdown
from pleme_redis_django.testing import MemoryJobStore
from tests.jobs.pool_bench import DEADLINE_SECONDS, Bench
from tests.jobs.recording import (
    FunctionExecutor,
)
from tests.waiting import wait_until


class LockedStore(MemoryJobStore):
    """Every row is locked by somebody, who lets go of some, or of all after so many more endings were refused."""

    lets_go_after = 1_000_000
    lets_go_of: Collection[UUID] = ()

    def finish_jobs(self, endings: Sequence[Ending]) -> Sequence[bool]:
        locked = {ending.job_id for ending in endings}.difference(self.lets_go_of)
        if self.lets_go_after and locked:
            self.lets_go_after -= 1
            raise LockedJobs(locked)
        return super().finish_jobs(endings)


def test_a_stop_gives_back_what_has_not_started_and_lets_the_rest_end(bench: Bench) -> None:
    gate = threading.Event()
    bench.add(2)
    pool = bench.pool(FunctionExecutor(lambda job: gate.wait(DEADLINE_SECONDS)), worker_count=1)
    pool.launch()
    wait_until(lambda: bench.sink.of(JobStarted))
    stopping = threading.Thread(target=pool.stop)
    stopping.start()
    gate.set()
    stopping.join(DEADLINE_SECONDS)
    assert not stopping.is_alive()
    assert bench.statuses() == [JobStatus.COMPLETED, JobStatus.QUEUED]
    (stopped,) = bench.sink.of(WorkerStopped)
    assert stopped.given_back_running == 0
    assert bench.registry.deregistered == bench.registry.registered


def test_the_end_of_the_grace_gives_running_jobs_back(bench: Bench) -> None:
    gate = threading.Event()
    bench.add(1)
    pool = bench.pool(FunctionExecutor(lambda job: gate.wait(DEADLINE_SECONDS)))
    pool.launch()
    wait_until(lambda: bench.sink.of(JobStarted))
    try:
        assert pool.stop(0) == 1
        (job,) = bench.store.all()
        assert (job.status, job.retry_count, job.crash_count) == (JobStatus.QUEUED, 0, 0)
        (stopped,) = bench.sink.of(WorkerStopped)
        assert (stopped.given_back, stopped.given_back_running) == (1, 1)
    finally:
        gate.set()


@pytest.mark.parametrize("refused_meanwhile", [0, 2])
def test_what_has_ended_keeps_its_ending_though_its_row_is_locked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, refused_meanwhile: int
) -> None:
    """The ending waits apart when the grace is over, and the row is free then or a little later."""
    monkeypatch.setattr(delayed_endings, "FIRST_DELAY_SECONDS", 1_000)
    bench.store = store = LockedStore()
    bench.add(1)
    pool = bench.pool()
    pool.launch()
    wait_until(lambda: bench.sink.of(EndingDelayed))
    store.lets_go_after = refused_meanwhile
    assert pool.stop(0) == 0
    assert bench.statuses() == [JobStatus.COMPLETED]
    (stopped,) = bench.sink.of(WorkerStopped)
    assert (stopped.given_back, stopped.given_back_running) == (0, 0)


def test_a_second_stop_does_nothing(bench: Bench) -> None:
    pool = bench.pool()
    pool.launch()
    pool.stop()
    assert pool.stop() == 0
    assert len(bench.sink.of(WorkerStopped)) == 1


def test_a_pool_that_is_asked_to_drain_ends_its_jobs_and_stops(bench: Bench) -> None:
    gate = threading.Event()

    def handler(job: Any) -> None:
        bench.note(job)
        assert gate.wait(DEADLINE_SECONDS)

    pool = bench.pool(FunctionExecutor(handler), worker_count=1, grace_seconds=0, heartbeat_seconds=0.05)
    runs = threading.Thread(target=pool.start)
    bench.add(1)
    runs.start()
    wait_until(lambda: bench.ran)
    bench.registry.standing = WorkerStanding.DRAINING
    wait_until(lambda: bench.sink.of(DrainRequested))
    bench.add(3)
    gate.set()
    runs.join(DEADLINE_SECONDS)
    assert not runs.is_alive()
    assert bench.statuses() == [JobStatus.COMPLETED] + [JobStatus.QUEUED] * 3
    assert [event.given_back_running for event in bench.sink.of(WorkerStopped)] == [0]
    assert len(bench.sink.of(DrainRequested)) == 1


def test_a_process_ends_though_a_handler_that_was_given_up_locks_its_own_row(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock goes only with the process; a handler that still runs is waited for all the same."""
    monkeypatch.setattr(shutdown, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(shutdown, "GIVEN_UP_SECONDS", 0.01)
    monkeypatch.setattr(shutdown, "FLUSH_SECONDS", 1.0)
    stuck, neighbour = threading.Event(), threading.Event()
    bench.store = store = LockedStore()

    def handler(job: Any) -> None:
        (stuck if job.timeout_seconds else neighbour).wait(3 * DEADLINE_SECONDS)

    bench.add(1, timeout_seconds=0.05, configuration={"kill_after": 0.05, "interrupt": False})
    bench.add(1)
    pool = bench.pool(FunctionExecutor(handler))
    pool.launch()
    try:
        wait_until(lambda: LockedStore.lets_go_after - store.lets_go_after >= 3)
        store.lets_go_of = {store.all()[1].id}
        neighbour.set()
        assert pool._shutdown.is_over.wait(DEADLINE_SECONDS)
        assert bench.statuses() == [JobStatus.RUNNING, JobStatus.COMPLETED]
        assert bench.registry.deregistered == [], "Its lease runs out, so that its job is rescued."
        (stopped,) = bench.sink.of(WorkerStopped)
        assert (stopped.given_back, stopped.given_back_running) == (0, 0)
    finally:
        stuck.set()
