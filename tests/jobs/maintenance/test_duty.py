"""Duties: one that fails stops no other."""

from __future__ import annotations

import threading
from typing import Any

from pleme_redis_django import current_job_context
from pleme_redis_django.jobs.interface.events import (
    JobStarted,
)
from pleme_redis_django.jobs.worker.executing_page import SeenDeath
from pleme_redis_django.testing import MemoryJobStore
from tests.jobs.pool_bench import DEAD, DEADLINE_SECONDS, Bench
from tests.jobs.recording import (
    FunctionExecutor,
)
from tests.waiting import wait_until


def test_a_duty_that_fails_stops_no_other(bench: Bench) -> None:
    """The jobs of a death cannot be found, and a cancel is noticed all the same."""

    class NoRescue(MemoryJobStore):
        def find_jobs_of(self, worker_ids: Any) -> Any:
            raise ZeroDivisionError("a broken store")

    bench.store = NoRescue()
    noticed = threading.Event()

    def handler(job: Any) -> None:
        context = current_job_context()
        assert context is not None
        try:
            wait_until(lambda: context.cancel_requested)
        finally:
            noticed.set()

    job = bench.store.add()
    pool = bench.pool(FunctionExecutor(handler), lease_sweep_seconds=0.05)
    pool.launch()
    wait_until(lambda: len(bench.sink.of(JobStarted)) == 1)
    pool.rescue_jobs_of(SeenDeath(worker_id=DEAD))
    bench.store.request_cancel(job.id)
    assert noticed.wait(DEADLINE_SECONDS)
