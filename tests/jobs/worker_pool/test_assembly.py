"""Assembly: which parts a pool has, as its executor, its config and what it talks to need them."""

from __future__ import annotations

from typing import Any, cast

import pytest

from pleme_redis_django import WorkerPoolConfig
from pleme_redis_django.jobs.worker.heartbeat import Heartbeat, NoHeartbeat
from pleme_redis_django.jobs.worker.lease import EndlessLease
from pleme_redis_django.jobs.worker.suspects import RunMode, SuspectRule
from pleme_redis_django.jobs.worker_pool.assembly import (
    SCAN_SECONDS_WITHOUT_HINTS,
    Outside,
    _scan_seconds,
    known_types,
)
from pleme_redis_django.jobs.worker_pool.parts import WorkerParts
from pleme_redis_django.jobs.worker_pool.pool import WorkerPool
from pleme_redis_django.testing import MemoryJobStore
from tests.jobs.pool_bench import CallsOfATest
from tests.jobs.recording import (
    FunctionExecutor,
    MemoryHints,
    MemoryRegistry,
    RecordingSink,
)


@pytest.mark.parametrize(
    ("hints", "suspects", "poll_timeout", "seconds"),
    [
        (MemoryHints(), SuspectRule.BESIDE, 20.0, 20.0),
        (None, SuspectRule.BESIDE, 20.0, SCAN_SECONDS_WITHOUT_HINTS),
        (None, SuspectRule.BESIDE, 1.0, 1.0),
        (MemoryHints(), SuspectRule.ONLY, 20.0, SCAN_SECONDS_WITHOUT_HINTS),
    ],
)
def test_who_hears_no_hints_scans_more_often(
    hints: MemoryHints | None, suspects: SuspectRule, poll_timeout: float, seconds: float
) -> None:
    outside = Outside(
        store=MemoryJobStore(), hints=hints, registry=None, calls=None, schedules=None, sink=RecordingSink()
    )
    assert (
        _scan_seconds(WorkerPoolConfig(poll_timeout=poll_timeout), outside, RunMode(suspects=suspects))
        == seconds
    )


def parts_of(**options: Any) -> WorkerParts:
    """Return the parts of a pool that is not launched."""
    pool: WorkerPool[Any] = WorkerPool(
        WorkerPoolConfig(), MemoryHints(), FunctionExecutor(), MemoryJobStore(), **options
    )
    return pool._parts


def test_a_pool_that_talks_to_everything_listens_to_everything() -> None:
    parts = parts_of(registry=MemoryRegistry(), calls=CallsOfATest())
    assert isinstance(parts.heartbeat, Heartbeat)
    assert (len(parts.hint_listeners), len(parts.call_listeners)) == (1, 1)


@pytest.mark.parametrize("options", [{"burst": True}, {"suspects": SuspectRule.ONLY}], ids=str)
def test_who_ends_when_nothing_is_left_takes_no_hint_from_others(options: dict[str, Any]) -> None:
    assert parts_of(**options).hint_listeners == []


def test_a_pool_that_nobody_watches_has_no_lease_to_lose() -> None:
    parts = parts_of()
    assert isinstance(parts.heartbeat, NoHeartbeat) and isinstance(parts.heartbeat.lease, EndlessLease)
    assert parts.call_listeners == []


def test_a_lane_that_takes_any_job_makes_the_pool_take_any() -> None:
    class Lane:
        def __init__(self, *job_types: str) -> None:
            self.job_types = frozenset(job_types) if job_types else None

    assert known_types(cast(Any, [Lane("a"), Lane("b", "c")])) == {"a", "b", "c"}
    assert known_types(cast(Any, [Lane("a"), Lane()])) is None
    assert known_types([]) == frozenset()
