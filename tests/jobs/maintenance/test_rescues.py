"""Rescues: each job is decided and written for itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pleme_redis_django import JobStatus
from pleme_redis_django.exceptions import LockedJobs
from pleme_redis_django.jobs.interface.endings import Ending
from pleme_redis_django.jobs.worker.executing_page import SeenDeath
from pleme_redis_django.testing import MemoryJobStore
from tests.jobs.pool_bench import DEAD, Bench, death_with
from tests.jobs.recording import (
    claimed,
)
from tests.waiting import wait_until


def test_a_rescue_decides_each_job_for_itself(bench: Bench) -> None:
    jobs = [claimed(bench.store, DEAD, configuration=each) for each in (None, ["x"], None)]
    pool = bench.pool()
    pool.launch()
    pool.rescue_jobs_of(SeenDeath(worker_id=DEAD))
    wait_until(lambda: bench.statuses() == [JobStatus.COMPLETED] * 3)
    assert set(bench.ran) == {job.id for job in jobs}


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
