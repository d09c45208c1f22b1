"""Finisher: writes endings and progress in batches, and keeps at it while the store is away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from pleme_redis_django.jobs.context import JobContext
from pleme_redis_django.jobs.endings import Ending, Failed
from pleme_redis_django.jobs.events import EndingRefused, EventSink, JobEnded, JobProgressed
from pleme_redis_django.jobs.failures import engine_failure
from pleme_redis_django.jobs.holdings import HeldJob, Holdings
from pleme_redis_django.jobs.patience import Patience
from pleme_redis_django.jobs.store import BadEnding, JobStore

# One round trip for many endings is what lets a pool end thousands of jobs a second; the delay is
# what one lonely ending waits for company.
FLUSH_COUNT = 500
FLUSH_DELAY_SECONDS = 0.005
PROGRESS_INTERVAL_SECONDS = 1.0

UNWRITABLE = "unwritable_ending"

Entry = tuple[HeldJob, Ending]


class Finisher:
    """The one thread of a process that ends jobs."""

    def __init__(
        self,
        store: JobStore[Any],
        holdings: Holdings,
        sink: EventSink,
        *,
        on_retry: Callable[[float], None] = lambda delay_seconds: None,
        on_idle: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._holdings = holdings
        self._sink = sink
        self._on_retry = on_retry
        self._on_idle = on_idle
        self._lock = threading.Lock()
        self._pending: list[Entry] = []
        self._progressed: dict[int, JobContext] = {}
        self._some = threading.Event()
        self._many = threading.Event()
        self._stopping = threading.Event()
        self._given_up = threading.Event()
        self._patience = Patience("finish", sink, self._given_up)
        self._thread = threading.Thread(target=self._run, name="pleme-finisher", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_seconds: float) -> bool:
        """Write what is left; return whether all of it was written in time."""
        self._stopping.set()
        self._some.set()
        self._many.set()
        self._thread.join(timeout_seconds)
        self._given_up.set()
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive() and not self._pending

    def add(self, held: HeldJob, ending: Ending) -> None:
        """Take an ending to write, from any thread."""
        with self._lock:
            self._pending.append((held, ending))
            count = len(self._pending)
        if count == 1:
            self._some.set()
        elif count == FLUSH_COUNT:
            self._many.set()

    def note_progress(self, context: JobContext) -> None:
        """Remember that a job has progress to write, from any thread."""
        self._progressed[id(context)] = context

    def _run(self) -> None:
        next_progress = time.monotonic()
        while not self._stopping.is_set():
            if self._some.wait(PROGRESS_INTERVAL_SECONDS if not self._progressed else 0.1):
                self._many.wait(FLUSH_DELAY_SECONDS)
                self._flush()
            if self._progressed and time.monotonic() >= next_progress:
                self._write_progress()
                next_progress = time.monotonic() + PROGRESS_INTERVAL_SECONDS
        self._flush()

    def _flush(self) -> None:
        with self._lock:
            entries, self._pending = self._pending, []
            self._some.clear()
            self._many.clear()
        if entries and not self._write(entries):
            with self._lock:
                self._pending = entries + self._pending

    def _write(self, entries: Sequence[Entry]) -> bool:
        """Write a batch, however long it takes; False when stopping had to give up."""
        while True:
            try:
                accepted = self._store.finish_jobs([ending for _held, ending in entries])
            except BadEnding as error:
                return self._write_apart(entries, error)
            except Exception as error:
                if not self._patience.wait_after(error):
                    return False
            else:
                self._patience.succeeded()
                self._settle(entries, accepted)
                return True

    def _write_apart(self, entries: Sequence[Entry], error: BadEnding) -> bool:
        """Halve a refused batch until the ending that spoils it stands alone, and fail that one."""
        if len(entries) == 1:
            return self._write_unwritable(*entries[0], error)
        middle = len(entries) // 2
        written = self._write(entries[:middle])
        return self._write(entries[middle:]) and written

    def _write_unwritable(self, held: HeldJob, ending: Ending, error: BadEnding) -> bool:
        if isinstance(ending, Failed) and ending.failure.error_code == UNWRITABLE:
            # Even the engine's own words are refused: leave the row to the lease, and say so.
            self._settle([(held, ending)], [False])
            return True
        return self._write([(held, _unwritable(held, ending, error))])

    def _settle(self, entries: Sequence[Entry], accepted: Sequence[bool]) -> None:
        for (_held, ending), was_accepted in zip(entries, accepted, strict=True):
            # Before the job is let go: a burst ends when nothing is held and nothing is due.
            if was_accepted and (delay := getattr(ending, "delay_seconds", None)) is not None:
                self._on_retry(delay)
        self._holdings.remove([held for held, _ending in entries])
        for (held, ending), was_accepted in zip(entries, accepted, strict=True):
            if was_accepted:
                self._sink.emit(JobEnded(held.context.job, ending))
            elif not held.handed_back:
                self._sink.emit(EndingRefused(held.context.job, ending))
        if not len(self._holdings):
            self._on_idle()

    def _write_progress(self) -> None:
        contexts, self._progressed = self._progressed, {}
        # A report that another thread adds to the old dict meanwhile rides with the job's ending.
        reports = [
            (context, progress)
            for context in list(contexts.values())
            if (progress := context.take_unwritten_progress()) is not None
        ]
        if not reports:
            return
        try:
            self._store.record_progress(
                [(context.job.id, context.claim, progress) for context, progress in reports]
            )
        except Exception as error:
            # The next report, or the ending, carries newer progress: nothing to keep.
            self._patience.report(error)
            return
        for context, progress in reports:
            self._sink.emit(JobProgressed(context.job, progress))


def _unwritable(held: HeldJob, ending: Ending, error: BadEnding) -> Ending:
    failure = engine_failure(
        UNWRITABLE,
        f"The store refused the ending of this attempt ({type(ending).__name__}): {str(error)[:500]!a}",
        held.context.job.job_type,
    )
    return Failed(job_id=ending.job_id, claim=ending.claim, run_seconds=ending.run_seconds, failure=failure)
