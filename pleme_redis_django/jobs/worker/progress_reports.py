"""ProgressReports: the latest progress of running jobs, written once a second for all of them."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

from pleme_redis_django.exceptions import LockedJobs
from pleme_redis_django.jobs.interface.context import JobContext
from pleme_redis_django.jobs.interface.events import EventSink, JobProgressed
from pleme_redis_django.jobs.interface.store import JobStore
from pleme_redis_django.jobs.worker.store_outage import StoreOutage

INTERVAL_SECONDS = 1.0


class ProgressReports:
    """What handlers have reported and nobody has written yet."""

    def __init__(self, store: JobStore[Any], sink: EventSink, outage: StoreOutage) -> None:
        self._store = store
        self._sink = sink
        self._outage = outage
        self._reported: dict[int, JobContext] = {}
        self._next_write = time.monotonic()

    def note(self, context: JobContext) -> None:
        """Remember that a job has progress to write; from any thread."""
        self._reported[id(context)] = context

    def __bool__(self) -> bool:
        return bool(self._reported)

    def write_when_due(self) -> None:
        """Write the reports, unless that was done within the last second."""
        if self._reported and time.monotonic() >= self._next_write:
            self._write()
            self._next_write = time.monotonic() + INTERVAL_SECONDS

    def _write(self) -> None:
        contexts, self._reported = self._reported, {}
        # A report that another thread adds to the old dict meanwhile rides with the job's ending.
        reports = [
            (context, progress)
            for context in list(contexts.values())
            if (progress := context.take_unwritten_progress()) is not None
        ]
        if not reports:
            return
        locked: frozenset[UUID] = frozenset()
        try:
            self._store.record_progress(
                [(context.job.id, context.claim, progress) for context, progress in reports]
            )
        except LockedJobs as error:
            locked = error.job_ids
        except Exception as error:
            for context, progress in reports:
                context.keep_unwritten(progress)  # The next report, or the ending, takes it along.
            self._outage.report(error)
            return
        self._outage.succeeded()
        for context, progress in reports:
            if context.job.id in locked:
                context.keep_unwritten(progress)
                self.note(context)
            else:
                self._sink.emit(JobProgressed(context.job, progress))
