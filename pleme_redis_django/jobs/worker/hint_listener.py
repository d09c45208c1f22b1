"""HintListener: the thread that waits for hints while its process has room for jobs.

In a fair pool it also looks, while there is no room, of which products the hints are that wait.
"""

from __future__ import annotations

import threading
import time

from pleme_redis_django.jobs.interface.events import EventSink, HintsBack, HintsUnavailable
from pleme_redis_django.jobs.interface.hints import Hinted, HintQueue, NamesJobs
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.engine_thread import EngineThread

PAUSE_AFTER_FAILURE_SECONDS = 5.0
# While a full process claims, this is how late it knows of a product that has come.
PEEK_SECONDS = 0.015
# A process that has claimed nothing for this long is full of long jobs.
CLAIMS_GO_ON_SECONDS = 1.0

NOTHING_NAMED: frozenset[Hinted] = frozenset()


class HintListener:
    """The thread that waits for hints while its process has room for jobs."""

    def __init__(
        self,
        hints: HintQueue,
        sink: EventSink,
        agenda: Agenda,
        *,
        timeout_seconds: float,
        fair: bool = False,
    ) -> None:
        self._hints = hints
        self._sink = sink
        self._agenda = agenda
        self._timeout_seconds = timeout_seconds
        self._stopping = threading.Event()
        self._away = False
        self._naming = hints if isinstance(hints, NamesJobs) else None
        self._peeks_at = self._naming if fair else None
        self._thread = EngineThread(self._run, "hints", agenda)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread without waiting for it: a blocked pop must not delay a shutdown."""
        self._stopping.set()
        self._agenda.capacity.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            if self._peeks_at is not None:
                self._peek_until_there_is_capacity(self._peeks_at)
            self._agenda.capacity.wait()
            if not self._stopping.is_set():
                self._listen()

    def _listen(self) -> None:
        try:
            hinted = self._hints.wait_for_hint(self._timeout_seconds)
        except Exception as error:
            if not self._stopping.is_set():
                self._pause(error)
            return
        if self._away:
            self._away = False
            self._sink.emit(HintsBack())
        if hinted and self._stopping.is_set():
            # It came out of the pop that was under way when the process began to drain.
            self._hints.nudge()
        elif hinted:
            # Until the claimer says that there is room: listening on at once would keep the interpreter
            # busy while it claims, and take hints from other processes that this one may be too full for.
            self._agenda.capacity.clear()
            self._agenda.hint(self._naming.take_named() if self._naming else NOTHING_NAMED)

    def _peek_until_there_is_capacity(self, naming: NamesJobs) -> None:
        while not self._agenda.capacity.wait(PEEK_SECONDS):
            if time.monotonic() - self._agenda.claimed_at > CLAIMS_GO_ON_SECONDS:
                continue
            try:
                self._agenda.hear_of(naming.peek_named())
            except Exception as error:
                self._pause(error)

    def _pause(self, error: Exception) -> None:
        if not self._away:
            self._away = True
            self._sink.emit(HintsUnavailable(error))
        self._stopping.wait(PAUSE_AFTER_FAILURE_SECONDS)
