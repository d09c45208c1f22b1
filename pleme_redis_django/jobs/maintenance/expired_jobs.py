"""Expired jobs: waiting jobs end when their deadline is over, even if no worker has room to claim them."""

from __future__ import annotations

from typing import Any

from pleme_redis_django.jobs.interface.events import EventSink, JobsExpired
from pleme_redis_django.jobs.interface.store import JobStore
from pleme_redis_django.jobs.maintenance.duty import Duty
from pleme_redis_django.jobs.worker.released_jobs import ReleasedJobs

EXPIRED_JOBS = "expired_jobs"
LIMIT = 1_000


def end_expired_jobs(store: JobStore[Any], sink: EventSink, told: ReleasedJobs) -> int:
    """End every job whose deadline is over; return how many there were. What a limit had let in leaves its place."""
    total = 0
    while ended := store.end_expired_jobs(LIMIT):
        total += ended
    if total:
        sink.emit(JobsExpired(total))
        if store.supports_limits:
            told.tell(store.release_overlooked(at_once=True))
    return total


def expired_jobs_duty(
    store: JobStore[Any], sink: EventSink, told: ReleasedJobs, every_seconds: float
) -> Duty:
    """Return the duty, which one worker does for all."""
    return Duty(
        name=EXPIRED_JOBS,
        run=lambda: end_expired_jobs(store, sink, told),
        every_seconds=every_seconds,
        role=EXPIRED_JOBS,
    )
