"""EndingCounter: counts what this process ends, in memory, and passes every event on.

It runs once a job in the thread that writes endings, so it adds numbers and nothing else: no query,
no time of day. How long a job waited from due to claimed is measured by the claim itself.
"""

from __future__ import annotations

import threading
from typing import Any

from pleme_redis_django.jobs.interface.endings import (
    Cancelled,
    Completed,
    Ending,
    Failed,
    GivenBack,
    Retried,
    Snoozed,
)
from pleme_redis_django.jobs.interface.events import Event, EventSink, JobEnded
from pleme_redis_django.metrics.histogram import bucket_of
from pleme_redis_django.metrics.tally import QueueKey, Tally


class EndingCounter:
    """An EventSink before another one."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink
        self._lock = threading.Lock()
        self._tallies: dict[QueueKey, Tally] = {}

    def emit(self, event: Event) -> None:
        """Count an ending and pass the event on."""
        if type(event) is JobEnded:
            self._count(event.job, event.ending)
        self._sink.emit(event)

    def take(self) -> dict[QueueKey, Tally]:
        """Return what was counted since the last call."""
        with self._lock:
            taken, self._tallies = self._tallies, {}
        return taken

    def _count(self, job: Any, ending: Ending) -> None:
        kind = type(ending)
        # The attempt did not count, and its job will be claimed again.
        if kind is GivenBack or kind is Snoozed:
            return
        # A job model of another store may know neither product nor queue.
        key = (getattr(job, "product", ""), getattr(job, "queue_name", ""))
        waited = getattr(job, "waited_seconds", None)
        with self._lock:
            tally = self._tallies.get(key)
            if tally is None:
                tally = self._tallies[key] = Tally()
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
            if waited is not None:
                tally.waits[bucket_of(waited)] += 1
