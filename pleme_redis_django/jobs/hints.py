"""Hints: what a pool asks of the queue that wakes it, and the thread that waits there."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from pleme_redis_django.jobs.agenda import Agenda
from pleme_redis_django.jobs.engine_thread import EngineThread
from pleme_redis_django.jobs.events import EventSink, HintsBack, HintsUnavailable

PAUSE_AFTER_FAILURE_SECONDS = 5.0


class HintQueue(Protocol):
    """A queue of hints that jobs are ready. Losing one costs time, never a job."""

    def wait_for_hint(self, timeout_seconds: float) -> bool:
        """Wait for a hint, take every one that is there, and return whether there was any.

        Raises an exception when the queue is unavailable.
        """
        ...

    def nudge(self) -> bool:
        """Wake one other worker; return whether that was said. Does not raise when the queue is unavailable."""
        ...


class NoHints:
    """The queue of a process without one: nobody is woken."""

    def wait_for_hint(self, timeout_seconds: float) -> bool:
        """Wait, and return that there was none."""
        time.sleep(timeout_seconds)
        return False

    def nudge(self) -> bool:
        """Do nothing; return False."""
        return False


class HintListener:
    """The thread that waits for hints while its process has room for jobs."""

    def __init__(
        self,
        hints: HintQueue,
        sink: EventSink,
        agenda: Agenda,
        *,
        timeout_seconds: float,
    ) -> None:
        self._hints = hints
        self._sink = sink
        self._agenda = agenda
        self._timeout_seconds = timeout_seconds
        self._stopping = threading.Event()
        self._away = False
        self._thread = EngineThread(self._run, "hints", agenda)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread without waiting for it: a blocked pop must not delay a shutdown."""
        self._stopping.set()
        self._agenda.room.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._agenda.room.wait()
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
        if hinted:
            # Until the claimer says that there is room: listening on at once would keep the interpreter
            # busy while it claims, and take hints from other processes that this one may be too full for.
            self._agenda.room.clear()
            self._agenda.hint()

    def _pause(self, error: Exception) -> None:
        if not self._away:
            self._away = True
            self._sink.emit(HintsUnavailable(error))
        self._stopping.wait(PAUSE_AFTER_FAILURE_SECONDS)
