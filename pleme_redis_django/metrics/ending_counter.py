"""EndingCounter: counts what this process ends, and finds overlooked, in memory, and passes every event on.

It runs once a job in the thread that writes endings, so it only keeps the ending there, and counts many of
them together: no query, no time of day. How long a job waited from due to claimed is measured by the claim itself.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from pleme_redis_django.jobs.interface.endings import (
    Cancelled,
    Completed,
    Failed,
    GivenBack,
    Retried,
    Snoozed,
)
from pleme_redis_django.jobs.interface.events import Event, EventSink, JobEnded, OverlookedJobsReleased
from pleme_redis_django.metrics.histogram import bucket_of
from pleme_redis_django.metrics.tally import QueueKey, Tally

COUNTED_TOGETHER = 200


class EndingCounter:
    """An EventSink before another one."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink
        self._lock = threading.Lock()
        self._uncounted: deque[JobEnded] = deque()
        self._tallies: dict[QueueKey, Tally] = {}

    def emit(self, event: Event) -> None:
        """Keep an ending to be counted, and pass the event on."""
        if type(event) is JobEnded:
            self._uncounted.append(event)
            if len(self._uncounted) >= COUNTED_TOGETHER:
                with self._lock:
                    self._count()
        elif type(event) is OverlookedJobsReleased:
            with self._lock:
                self._tallies.setdefault(("", ""), Tally()).overlooked += event.count
        self._sink.emit(event)

    def take(self) -> dict[QueueKey, Tally]:
        """Return what has ended since the last call."""
        with self._lock:
            self._count()
            taken, self._tallies = self._tallies, {}
        return taken

    def _count(self) -> None:
        """Count what was kept; for who holds the lock. Endings come meanwhile, and are for the next time."""
        last_key, tally = None, Tally()
        for _ending in range(len(self._uncounted)):
            event = self._uncounted.popleft()
            job, ending = event.job, event.ending
            kind = type(ending)
            # The attempt did not count, and its job will be claimed again.
            if kind is GivenBack or kind is Snoozed:
                continue
            # Mostly the same as of the one before it.
            if (key := _queue_of(job)) != last_key:
                last_key, tally = key, self._tallies.setdefault(key, Tally())
            if kind is Completed:
                tally.completed += 1
            elif kind is Retried:
                tally.retried += 1
            elif kind is Failed:
                tally.failed += 1
            elif kind is Cancelled:
                tally.cancelled += 1
            # 0: the process died, so it is unknown how long the handler ran.
            if ending.run_seconds:
                tally.runs[bucket_of(ending.run_seconds)] += 1
            if (waited := getattr(job, "waited_seconds", None)) is not None:
                tally.waits[bucket_of(waited)] += 1


def _queue_of(job: Any) -> QueueKey:
    try:
        return job.product, job.queue_name
    except AttributeError:  # A job model of another store may know neither.
        return getattr(job, "product", ""), getattr(job, "queue_name", "")
