"""Unserved jobs: ready jobs of a type for which this pool has no handler, such as a misspelled one."""

from __future__ import annotations

from typing import Any

from pleme_redis_django.jobs.interface.events import EventSink, UnservedJobsFound
from pleme_redis_django.jobs.interface.store import JobStore


def report_unserved_jobs(store: JobStore[Any], known_types: frozenset[str] | None, sink: EventSink) -> int:
    """Report ready jobs whose type has no known handler; return how many. ``known_types`` None: every type has one."""
    if known_types is None:
        return 0
    counts = store.count_unserved(known_types)
    if counts:
        sink.emit(UnservedJobsFound(counts))
    return sum(counts.values())
