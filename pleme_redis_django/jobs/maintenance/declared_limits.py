"""Declared limits: each process says now and then which limits its code and settings declare.

So the others know when nobody declares one any more, and let go on what waits behind it.
"""

from __future__ import annotations

from typing import Any

from pleme_redis_django.jobs.interface.hints import HintQueue
from pleme_redis_django.jobs.interface.store import LIMITS_LOOKED_AFTER_SECONDS, JobStore
from pleme_redis_django.jobs.maintenance.duty import Duty
from pleme_redis_django.jobs.worker.released_jobs import ReleasedJobs

DECLARED_LIMITS = "declared_limits"


def look_after_limits(store: JobStore[Any], hints: HintQueue, told: ReleasedJobs) -> int:
    """Let go on what waits at limits that have ended, and wake this process and others; return how many."""
    released = store.look_after_limits()
    if released:
        hints.nudge()
        told.tell(released)
    return len(released)


def declared_limits_duty(store: JobStore[Any], hints: HintQueue, told: ReleasedJobs) -> Duty:
    """Return the duty, which every process does: each may be of another release or service."""
    return Duty(
        name=DECLARED_LIMITS,
        run=lambda: look_after_limits(store, hints, told),
        every_seconds=LIMITS_LOOKED_AFTER_SECONDS,
        condition=lambda: store.supports_limits,
    )
