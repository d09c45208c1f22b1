"""Overlooked jobs: they wait at a limit or in a line although nothing holds them, as a process has died meanwhile.

Whoever ends a job, and whoever steps back from a limit, lets others in. This is the net below both, and what it finds
is told, unless it may well be no find.
"""

from __future__ import annotations

from typing import Any

from pleme_redis_django.jobs.interface.events import EventSink, OverlookedJobsReleased
from pleme_redis_django.jobs.interface.hints import HintQueue
from pleme_redis_django.jobs.interface.store import JobStore
from pleme_redis_django.jobs.maintenance.duty import Duty
from pleme_redis_django.jobs.worker.released_jobs import ReleasedJobs

OVERLOOKED_JOBS = "overlooked_jobs"
# So many sweeps of leases come to one of these: it is a net, and an election costs an idle process as much as a look.
OVERLOOKED_SWEEPS = 3


def release_overlooked_jobs(
    store: JobStore[Any], hints: HintQueue, sink: EventSink, told: ReleasedJobs
) -> int:
    """Let them in, and wake this process and others; return how many."""
    released = store.release_overlooked()
    if released:
        sink.emit(OverlookedJobsReleased(len(released)))
    if ready := [*released, *store.released_besides()]:
        hints.nudge()
        told.tell(ready)
    return len(ready)


def overlooked_jobs_duty(
    store: JobStore[Any], hints: HintQueue, sink: EventSink, told: ReleasedJobs, every_seconds: float
) -> Duty:
    """Return the duty, which one worker does for all of them."""
    return Duty(
        name=OVERLOOKED_JOBS,
        run=lambda: release_overlooked_jobs(store, hints, sink, told),
        every_seconds=every_seconds,
        role=OVERLOOKED_JOBS,
        condition=lambda: store.supports_limits,
    )
