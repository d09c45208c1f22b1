"""Forgotten jobs: ready for a while but not claimed, perhaps because their hints were lost."""

from __future__ import annotations

from typing import Any

from pleme_redis_django.jobs.interface.events import EventSink, OrphanedJobsHinted
from pleme_redis_django.jobs.interface.hints import HintQueue
from pleme_redis_django.jobs.interface.store import JobStore


def hint_forgotten_jobs(store: JobStore[Any], hints: HintQueue, sink: EventSink) -> int:
    """Wake a worker for ready jobs that nobody has claimed; return how many there are."""
    forgotten = store.find_orphaned_jobs()
    if forgotten and hints.nudge():
        sink.emit(OrphanedJobsHinted(len(forgotten)))
    return len(forgotten)
