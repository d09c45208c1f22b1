"""What lanes want: slow jobs are not hoarded."""

from __future__ import annotations

import threading

from pleme_redis_django import JobStatus
from tests.jobs.pool_bench import DEADLINE_SECONDS, Bench
from tests.jobs.recording import (
    FunctionExecutor,
)
from tests.waiting import wait_until


def test_slow_jobs_are_not_hoarded(bench: Bench) -> None:
    gate = threading.Event()
    bench.add(20)
    try:
        bench.pool(FunctionExecutor(lambda job: gate.wait(DEADLINE_SECONDS)), worker_count=2).launch()
        wait_until(lambda: bench.statuses().count(JobStatus.RUNNING) == 2)
        bench.hints.nudge()
        assert bench.store.count_claimable_jobs() == 18
    finally:
        gate.set()
    wait_until(lambda: bench.statuses().count(JobStatus.COMPLETED) == 20)
