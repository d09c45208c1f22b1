"""Finisher: writes endings and progress in batches, and keeps at it while the store is away.

One thread writes for all, so no ending may hold it up for long: one that cannot be written, because its
row is locked or refuses it, waits apart and is tried again, while the others pass.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from pleme_redis_django.jobs.context import JobContext
from pleme_redis_django.jobs.ending_batches import MAX_ENDINGS, Answer, batch_length, write_parted
from pleme_redis_django.jobs.endings import Ending, Failed
from pleme_redis_django.jobs.engine_thread import EngineThread, OnBroken, tell_nobody
from pleme_redis_django.jobs.events import (
    EndingDelayed,
    EndingRefused,
    EndingsUnwritten,
    EventSink,
    JobEnded,
    JobProgressed,
)
from pleme_redis_django.jobs.failures import engine_failure
from pleme_redis_django.jobs.holdings import HeldJob, Holdings
from pleme_redis_django.jobs.patience import Patience
from pleme_redis_django.jobs.store import BadEnding, JobStore, LockedJobs

# One round trip for many endings is what lets a pool end thousands of jobs a second; the delay is
# what one lonely ending waits for company.
FLUSH_DELAY_SECONDS = 0.005
PROGRESS_INTERVAL_SECONDS = 1.0
# No jobs are claimed while more endings than this wait, or two for each slot where those are more.
MAX_UNWRITTEN = 500
# What cannot be written alone is tried again after this, twice as long each time.
FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0
FAILURES_BEFORE_DOUBT = 3

UNWRITABLE = "unwritable_ending"

Entry = tuple[HeldJob, Ending]


@dataclasses.dataclass(slots=True, kw_only=True)
class _Delayed:
    """An ending that waits apart, so that it holds up no other."""

    entry: Entry
    error: Exception
    wait_seconds: float = FIRST_DELAY_SECONDS
    next_try: float = 0.0


class Finisher:
    """The one thread of a process that ends jobs."""

    def __init__(
        self,
        store: JobStore[Any],
        holdings: Holdings,
        sink: EventSink,
        *,
        max_unwritten: int = MAX_UNWRITTEN,
        on_retry: Callable[[float], None] = lambda delay_seconds: None,
        on_idle: Callable[[], None] = lambda: None,
        on_held_up: Callable[[int, Exception], None] = lambda count, error: None,
        on_broken: OnBroken = tell_nobody,
    ) -> None:
        self._store = store
        self._holdings = holdings
        self._sink = sink
        self._max_unwritten = max_unwritten
        self._on_retry = on_retry
        self._on_idle = on_idle
        self._on_held_up = on_held_up
        """Called while everything that is held waits apart, with how many and what keeps the last one."""
        self._lock = threading.Lock()
        self._pending: list[Entry] = []
        self._in_hand: list[Entry] = []
        self._delayed: dict[int, _Delayed] = {}
        self._was_behind = False
        self._progressed: dict[int, JobContext] = {}
        self._some = threading.Event()
        self._many = threading.Event()
        self._stopping = threading.Event()
        self._given_up = threading.Event()
        self._patience = Patience("finish", sink, self._given_up)
        self._thread = EngineThread(self._run, "pleme-finisher", on_broken)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_seconds: float) -> bool:
        """Write what is left; return whether all of it was written in time, and say so when it was not."""
        self._stopping.set()
        self._some.set()
        self._many.set()
        self._thread.join(timeout_seconds)
        self._given_up.set()
        self._thread.join(timeout_seconds)
        if unwritten := self.unwritten():
            errors = [delayed.error for delayed in list(self._delayed.values())]
            self._sink.emit(EndingsUnwritten(unwritten, errors[-1] if errors else self._patience.error))
        return not self._thread.is_alive() and not unwritten

    def add(self, held: HeldJob, ending: Ending) -> None:
        """Take an ending to write, from any thread."""
        with self._lock:
            self._pending.append((held, ending))
            count = len(self._pending)
        if count == 1:
            self._some.set()
        elif count == MAX_ENDINGS:
            self._many.set()

    def note_progress(self, context: JobContext) -> None:
        """Remember that a job has progress to write, from any thread."""
        self._progressed[id(context)] = context

    def unwritten(self) -> int:
        """Return how many endings wait to be written."""
        return len(self._pending) + len(self._in_hand) + len(self._delayed)

    def is_behind(self) -> bool:
        """Whether so many endings wait that no more jobs should be claimed; from the claimer's thread."""
        self._was_behind = self.unwritten() > self._max_unwritten
        return self._was_behind

    def _run(self) -> None:
        next_progress = time.monotonic()
        while not self._stopping.is_set():
            idle = not self._progressed and not self._delayed
            if self._some.wait(PROGRESS_INTERVAL_SECONDS if idle else 0.1):
                self._many.wait(FLUSH_DELAY_SECONDS)
                self._flush()
            if self._delayed:
                self._retry_delayed(time.monotonic())
                self._tell_of_delayed()
            if self._progressed and time.monotonic() >= next_progress:
                self._write_progress()
                next_progress = time.monotonic() + PROGRESS_INTERVAL_SECONDS
        self._flush()
        while self._delayed and not self._given_up.wait(FIRST_DELAY_SECONDS):
            self._retry_delayed(float("inf"))

    def _flush(self) -> None:
        """Write what waits, a batch at a time."""
        with self._lock:
            entries, self._pending = self._pending, []
            self._some.clear()
            self._many.clear()
        while entries:
            length = batch_length([ending for _held, ending in entries[:MAX_ENDINGS]])
            self._in_hand, left = entries, self._write(entries[:length])
            entries = left + entries[length:]
            self._in_hand = []
            if left:
                with self._lock:
                    self._pending = entries + self._pending
                return
            if self._was_behind and self.unwritten() + len(entries) <= self._max_unwritten:
                self._on_idle()

    def _write(self, entries: list[Entry]) -> list[Entry]:
        """Write a batch, however long it takes; return what is left when stopping had to give up."""
        failures = 0
        while entries:
            open_entries = {id(entry[1]): entry for entry in entries}
            try:
                endings = [ending for _held, ending in entries]
                doubtful = failures >= FAILURES_BEFORE_DOUBT
                for part, answer in write_parted(self._store, endings, part_doubtful=doubtful):
                    answered = [open_entries.pop(id(ending)) for ending in part]
                    self._note_answer(answered, answer, open_entries)
                entries = list(open_entries.values())
                self._patience.succeeded()
            except Exception as error:
                failures += 1
                entries = list(open_entries.values())
                if not self._patience.wait_after(error):
                    break
        return entries

    def _note_answer(self, entries: list[Entry], answer: Answer, still_open: dict[int, Entry]) -> None:
        if not isinstance(answer, Exception):
            self._settle(entries, answer)
            return
        for held, ending in entries:
            if isinstance(answer, BadEnding) and not _is_last_word(ending):
                failed = _unwritable(held, ending, answer)
                still_open[id(failed)] = (held, failed)
            else:
                self._delay((held, ending), answer)

    def _delay(self, entry: Entry, error: Exception) -> None:
        held, ending = entry
        delayed = self._delayed.get(id(held))
        if delayed is None:
            delayed = self._delayed[id(held)] = _Delayed(entry=entry, error=error)
            self._sink.emit(EndingDelayed(held.context.job, ending, error))
        else:
            delayed.entry, delayed.error = entry, error
            delayed.wait_seconds = min(delayed.wait_seconds * 2, LONGEST_DELAY_SECONDS)
        delayed.next_try = time.monotonic() + delayed.wait_seconds

    def _retry_delayed(self, now: float) -> None:
        due = [delayed.entry for delayed in self._delayed.values() if delayed.next_try <= now]
        while due and not self._given_up.is_set():
            length = batch_length([ending for _held, ending in due[:MAX_ENDINGS]])
            if self._write(due[:length]):
                return
            due = due[length:]

    def _tell_of_delayed(self) -> None:
        if self._delayed and len(self._delayed) == len(self._holdings):
            self._on_held_up(len(self._delayed), next(reversed(self._delayed.values())).error)

    def _settle(self, entries: Sequence[Entry], accepted: Sequence[bool]) -> None:
        for (_held, ending), was_accepted in zip(entries, accepted, strict=True):
            # Before the job is let go: a burst ends when nothing is held and nothing is due.
            if was_accepted and (delay := getattr(ending, "delay_seconds", None)) is not None:
                self._on_retry(delay)
        if self._delayed:
            for held, _ending in entries:
                self._delayed.pop(id(held), None)
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
            self._patience.report(error)
            return
        self._patience.succeeded()
        for context, progress in reports:
            if context.job.id in locked:
                context.keep_unwritten(progress)
                self.note_progress(context)
            else:
                self._sink.emit(JobProgressed(context.job, progress))


def _is_last_word(ending: Ending) -> bool:
    """Whether the ending is what is written when another one was refused: there is nothing after it."""
    return isinstance(ending, Failed) and ending.failure.error_code == UNWRITABLE


def _unwritable(held: HeldJob, ending: Ending, error: BadEnding) -> Ending:
    failure = engine_failure(
        UNWRITABLE,
        f"The store refused the ending of this attempt ({type(ending).__name__}): {str(error)[:500]!a}",
        held.context.job.job_type,
    )
    return Failed(job_id=ending.job_id, claim=ending.claim, run_seconds=ending.run_seconds, failure=failure)
