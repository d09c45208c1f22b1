"""Clearance: nothing is claimed or started without a current lease."""

from __future__ import annotations

from pleme_redis_django import JobStatus
from pleme_redis_django.jobs.interface.events import (
    StoreUnavailable,
)
from tests.jobs.pool_bench import Bench
from tests.waiting import wait_until


def test_without_a_current_lease_nothing_is_claimed(bench: Bench) -> None:
    bench.registry.error = ConnectionError("away")
    bench.add(1)
    bench.pool().launch()
    wait_until(lambda: bench.sink.of(StoreUnavailable))
    assert bench.statuses() == [JobStatus.QUEUED]
    bench.registry.error = None
    wait_until(lambda: bench.statuses() == [JobStatus.COMPLETED])
