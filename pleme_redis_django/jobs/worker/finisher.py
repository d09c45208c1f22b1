"""Finisher: writes endings and progress in batches, and retries while the store is down.

One thread writes for all, so no ending may hold it up for long: one that cannot be written, because its
row is locked or refuses it, waits apart and is tried again, while the others pass.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from pleme_redis_django.exceptions import BadEnding
from pleme_redis_django.jobs.interface.endings import Completed, Ending, Failed
from pleme_redis_django.jobs.interface.events import EndingRefused, EndingsUnwritten, EventSink, JobEnded
from pleme_redis_django.jobs.interface.failures import engine_failure
from pleme_redis_django.jobs.interface.store import JobStore
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.delayed_endings import FIRST_DELAY_SECONDS, DelayedEndings
from pleme_redis_django.jobs.worker.ending_batches import MAX_ENDINGS, Answer, batch_length, write_parted
from pleme_redis_django.jobs.worker.ending_inbox import EndingInbox
from pleme_redis_django.jobs.worker.engine_thread import EngineThread
from pleme_redis_django.jobs.worker.freed_places import FreedPlaces
from pleme_redis_django.jobs.worker.holdings import Entry, HeldJob, Holdings
from pleme_redis_django.jobs.worker.progress_reports import ProgressReports
from pleme_redis_django.jobs.worker.released_jobs import ReleasedJobs
from pleme_redis_django.jobs.worker.store_outage import StoreOutage

# No jobs are claimed while more endings than this wait, or two for each slot where those are more.
MAX_UNWRITTEN = 500
FAILURES_BEFORE_DOUBT = 3
# How long the thread rests when nothing ends, and when progress or a delayed ending waits as well.
IDLE_SECONDS = 1.0
WAITING_SECONDS = 0.1

UNWRITABLE = "unwritable_ending"


class Finisher:
    """The one thread of a process that ends jobs."""

    def __init__(
        self,
        store: JobStore[Any],
        holdings: Holdings,
        sink: EventSink,
        agenda: Agenda,
        *,
        slots: int = 0,
        burst: bool = False,
        told: ReleasedJobs | None = None,
    ) -> None:
        self._store = store
        self._holdings = holdings
        self._sink = sink
        self._agenda = agenda
        self._max_unwritten = max(MAX_UNWRITTEN, 2 * slots)
        self._inbox = EndingInbox()
        self._delayed = DelayedEndings(sink, burst=burst)
        self._stopping = threading.Event()
        # Apart from being asked to stop: what is left is written first, until that takes too long.
        self._outage = StoreOutage("finish", sink, threading.Event())
        self._freed = FreedPlaces(store, told or ReleasedJobs(agenda), self._outage)
        self.progress = ProgressReports(store, sink, self._outage)
        self._thread = EngineThread(self._run, "finisher", agenda)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_seconds: float) -> bool:
        """Write what is left; return whether all of it was written in time, and say so when it was not."""
        self._stopping.set()
        self._inbox.interrupt()
        self._thread.join(timeout_seconds)
        self._outage.stopping.set()
        self._thread.join(timeout_seconds)
        if unwritten := self.unwritten():
            self._sink.emit(EndingsUnwritten(unwritten, self._delayed.last_error() or self._outage.error))
        return not self._thread.is_alive() and not unwritten

    def add(self, held: HeldJob, ending: Ending) -> None:
        """Take an ending to write, from any thread."""
        held.has_ending = True  # First: from here on nobody gives the job back.
        self._inbox.add((held, ending))

    def unwritten(self) -> int:
        """Return how many endings wait to be written."""
        return len(self._inbox) + len(self._delayed)

    def delayed(self) -> int:
        """Return how many of them wait apart, because their rows are locked or refuse them; from any thread."""
        return len(self._delayed)

    def is_behind(self) -> bool:
        """Whether so many endings wait that no more jobs should be claimed; from any thread."""
        return self.unwritten() > self._max_unwritten

    def _run(self) -> None:
        while not self._stopping.is_set():
            idle = not self.progress and not self._delayed and not self._freed
            if self._inbox.wait(IDLE_SECONDS if idle else WAITING_SECONDS):
                self._flush()
            if self._delayed:
                self._retry_delayed(time.monotonic())
                self._delayed.tell_when_all_wait(len(self._holdings))
            if self._freed:
                self._freed.leave(())
            self.progress.write_when_due()
        self._flush()
        while self._delayed and not self._outage.stopping.wait(FIRST_DELAY_SECONDS):
            self._retry_delayed(float("inf"))

    def _flush(self) -> None:
        """Write what waits, a batch at a time."""
        was_behind, inbox = self.is_behind(), self._inbox
        inbox.take()
        while inbox.in_hand:
            length = batch_length([ending for _held, ending in inbox.in_hand[:MAX_ENDINGS]])
            left = self._write(inbox.in_hand[:length])
            inbox.in_hand = left + inbox.in_hand[length:]
            if left:
                inbox.put_back()
                return
            if was_behind and not self.is_behind():
                was_behind = False
                self._agenda.slot_free()

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
                self._outage.succeeded()
            except Exception as error:
                failures += 1
                entries = list(open_entries.values())
                if not self._outage.wait_after(error):
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
                self._delayed.add((held, ending), answer)

    def _retry_delayed(self, now: float) -> None:
        due = self._delayed.due(now)
        while due and not self._outage.stopping.is_set():
            length = batch_length([ending for _held, ending in due[:MAX_ENDINGS]])
            if self._write(due[:length]):
                return
            due = due[length:]

    def _settle(self, entries: Sequence[Entry], answer: Sequence[bool]) -> None:
        accepted = self._first_of_each(entries, answer)
        for (_held, ending), was_accepted in zip(entries, accepted, strict=True):
            # Before the job is removed from what is held: a burst ends when nothing is held and nothing is due.
            if type(ending) is Completed or not was_accepted:
                continue
            if (delay := getattr(ending, "delay_seconds", None)) is not None:
                self._agenda.due_in(delay)
        # So does a burst, and what waits for the places of these jobs is its own to run.
        self._freed.leave(
            [held.job for (held, _), was_accepted in zip(entries, accepted, strict=True) if was_accepted]
        )
        self._delayed.forget(entries)
        self._holdings.remove([held for held, _ending in entries])
        for (held, ending), was_accepted in zip(entries, accepted, strict=True):
            if was_accepted:
                self._sink.emit(JobEnded(held.job, ending))
            elif not held.given_back:
                self._sink.emit(EndingRefused(held.job, ending))
        if not len(self._holdings):
            self._agenda.slot_free()

    def _first_of_each(self, entries: Sequence[Entry], answer: Sequence[bool]) -> list[bool]:
        """Return which were accepted, without the late endings of handlers that were given up.

        To the store, one of the same kind looks like an ending that is repeated because its reply was lost.
        """
        ended: set[HeldJob] = set()
        accepted: list[bool] = []
        for (held, ending), was_accepted in zip(entries, answer, strict=True):
            is_open = held not in ended and self._holdings.find(ending.job_id, ending.claim.attempt) is held
            accepted.append(was_accepted and is_open)
            if accepted[-1]:
                ended.add(held)
        return accepted


def _is_last_word(ending: Ending) -> bool:
    """Whether the ending is what is written when another one was refused: there is nothing after it."""
    return isinstance(ending, Failed) and ending.failure.error_code == UNWRITABLE


def _unwritable(held: HeldJob, ending: Ending, error: BadEnding) -> Ending:
    failure = engine_failure(
        UNWRITABLE,
        f"The store refused the ending of this attempt ({type(ending).__name__}): {str(error)[:500]!a}",
        held.job.job_type,
    )
    return Failed(job_id=ending.job_id, claim=ending.claim, run_seconds=ending.run_seconds, failure=failure)
