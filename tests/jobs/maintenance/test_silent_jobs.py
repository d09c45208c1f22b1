"""Silent jobs: those without a sign of life are ended by the one that is elected."""

from __future__ import annotations

import dataclasses

from pleme_redis_django import JobStatus
from pleme_redis_django.jobs.interface.events import (
    JobEnded,
)
from pleme_redis_django.testing import ManualClock, MemoryJob, MemoryJobStore
from tests.jobs.pool_bench import Bench
from tests.jobs.recording import (
    WORKER,
    claimed,
)
from tests.waiting import wait_until


@dataclasses.dataclass(slots=True, kw_only=True)
class OddJob(MemoryJob):
    """Its model raises when it is asked whether it may be retried."""

    def can_retry(self) -> bool:
        raise ZeroDivisionError("a broken can_retry()")


def test_a_stale_job_that_cannot_be_decided_ends_alone(bench: Bench) -> None:
    bench.store = MemoryJobStore(clock=(clock := ManualClock()))
    _first, odd, _last = (claimed(bench.store, WORKER, configuration=each) for each in (None, ["x"], None))
    fields = {field.name: getattr(odd, field.name) for field in dataclasses.fields(odd)}
    bench.store._jobs[odd.id] = OddJob(**fields)
    clock.advance(100)
    pool = bench.pool(stale_job_threshold_seconds=60)
    pool.launch()
    assert pool._parts.maintainer.duty("silent_jobs").run() == 3
    assert bench.statuses() == [JobStatus.PENDING, JobStatus.FAILED, JobStatus.PENDING]
    message = bench.store.load_job(odd.id).error_message
    assert "ZeroDivisionError: a broken can_retry()" in message


def test_silent_jobs_are_ended_by_the_elected_worker(bench: Bench) -> None:
    bench.store = MemoryJobStore(clock=(clock := ManualClock()))
    claimed(bench.store, WORKER, max_retries=0)
    clock.advance(100)
    bench.registry.elected = False
    pool = bench.pool(
        stale_job_threshold_seconds=60, stale_check_interval_seconds=0.1, lease_sweep_seconds=0.05
    )
    pool.launch()
    wait_until(lambda: any(role.startswith("caretaker") for role, _term in bench.registry.elections))
    assert bench.statuses() == [JobStatus.RUNNING]
    bench.registry.elected = True
    wait_until(lambda: bench.statuses() == [JobStatus.FAILED])
    assert bench.sink.of(JobEnded)[-1].ending.failure.error_code == "stale"
