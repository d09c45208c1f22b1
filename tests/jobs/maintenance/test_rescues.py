"""Rescues: each job is decided and written for itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pleme_redis_django import JobStatus
from pleme_redis_django.exceptions import DoubtfulEndings, LockedJobs
from pleme_redis_django.jobs.interface.endings import Ending
from pleme_redis_django.jobs.worker.executing_page import SeenDeath
from pleme_redis_django.testing import MemoryJob, MemoryJobStore
from tests.jobs.pool_bench import DEAD, Bench, death_with
from tests.jobs.recording import (
    claimed,
)
from tests.waiting import wait_until


class OddJob:
    """A job of the store, whose model raises when it is asked what a rescue asks first."""

    def __init__(self, job: MemoryJob) -> None:
        self._job = job

    @property
    def cancel_requested(self) -> bool:
        raise ZeroDivisionError("a broken model")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._job, name)


def test_a_rescue_decides_each_job_for_itself(bench: Bench) -> None:
    """One whose row or model raises ends alone; the others run again."""

    class WithOddJob(MemoryJobStore):
        odd: Any = None

        def find_jobs_of(self, worker_ids: Sequence[str]) -> list[Any]:
            found = super().find_jobs_of(worker_ids)
            return [OddJob(job) if job.id == self.odd else job for job in found]

    bench.store = store = WithOddJob()
    first, odd, last = (claimed(store, DEAD, configuration=each) for each in (None, ["x"], None))
    store.odd = odd.id
    pool = bench.pool()
    pool.launch()
    pool.rescue_jobs_of(SeenDeath(worker_id=DEAD))
    ended = [JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.COMPLETED]
    wait_until(lambda: bench.statuses() == ended)
    assert set(bench.ran) == {first.id, last.id}
    assert "ZeroDivisionError: a broken model" in store.load_job(odd.id).error_message


def test_an_ending_that_is_refused_for_an_unknown_reason_holds_up_the_rescue_of_no_other(
    bench: Bench,
) -> None:
    class Doubting(MemoryJobStore):
        doubtful: Any = None

        def finish_jobs(self, endings: Sequence[Ending]) -> Sequence[bool]:
            if self.doubtful in {ending.job_id for ending in endings}:
                raise DoubtfulEndings("a trigger of the project refuses it")
            return super().finish_jobs(endings)

    bench.store = store = Doubting()
    doubtful, *others = [claimed(store, DEAD) for _ in range(4)]
    store.doubtful = doubtful.id
    pool = bench.pool(lease_sweep_seconds=0.05)
    pool.launch()
    pool.rescue_jobs_of(death_with(doubtful))
    wait_until(lambda: bench.statuses().count(JobStatus.COMPLETED) == 3)
    assert {job.id for job in others} == set(bench.ran)


def test_a_locked_row_holds_up_the_rescue_of_no_other(bench: Bench) -> None:
    """The others run at once; it is rescued, and counted, once its row is free."""

    class Locking(MemoryJobStore):
        locked: frozenset[Any] = frozenset()

        def finish_jobs(self, endings: Sequence[Ending]) -> Sequence[bool]:
            if locked := self.locked & {ending.job_id for ending in endings}:
                raise LockedJobs(locked)
            return super().finish_jobs(endings)

    bench.store = store = Locking()
    locked, *others = [claimed(store, DEAD) for _ in range(4)]
    store.locked = frozenset({locked.id})
    pool = bench.pool(lease_sweep_seconds=0.05)
    pool.launch()
    pool.rescue_jobs_of(death_with(locked))
    wait_until(lambda: bench.statuses().count(JobStatus.COMPLETED) == 3)
    assert {job.id for job in others} == set(bench.ran)
    assert bench.registry.declared == []
    store.locked = frozenset()
    wait_until(lambda: store.load_job(locked.id).crash_count == 1)
    wait_until(lambda: bench.registry.declared == [DEAD])
