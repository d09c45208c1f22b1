"""Retention: deletes finished jobs whose time is over, a batch at a time, so that nothing waits behind it."""

from __future__ import annotations

import time
from typing import Any

from pleme_redis_django.jobs.interface.events import EventSink, JobsPruned
from pleme_redis_django.jobs.interface.store import JobStore
from pleme_redis_django.jobs.maintenance.duty import Duty
from pleme_redis_django.jobs.maintenance.maintainer import Maintainer

RETENTION = "retention"
ROLE = "pruner"
# The pause between two walks through the old jobs.
EVERY_SECONDS = 300.0
BATCH_ROWS = 1_000
# The pause after a batch, in lengths of the batch: pruning takes a fifth of one connection's time.
PAUSE_LENGTHS = 4.0
SHORTEST_PAUSE_SECONDS = 0.05


class Retention:
    """The walks of the process that is elected for them."""

    def __init__(self, store: JobStore[Any], maintainer: Maintainer, sink: EventSink) -> None:
        self._store = store
        self._maintainer = maintainer
        self._sink = sink
        self._deleted = self._kept = 0

    def duty(self) -> Duty:
        return Duty(name=RETENTION, run=self.turn, every_seconds=EVERY_SECONDS, role=ROLE)

    def turn(self) -> None:
        """Prune the next batch, and have the one after it follow soon; tell at the end of a walk."""
        began = time.monotonic()
        pruned = self._store.prune_jobs(BATCH_ROWS)
        self._deleted += pruned.deleted
        self._kept += pruned.kept
        if not pruned.is_done:
            took = time.monotonic() - began
            self._maintainer.do_in(max(PAUSE_LENGTHS * took, SHORTEST_PAUSE_SECONDS), RETENTION)
            return
        if self._deleted or self._kept:
            self._sink.emit(JobsPruned(self._deleted, self._kept))
        self._deleted = self._kept = 0
