"""Hints: what a pool asks of the queue that wakes it, and the thread that waits there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from pleme_redis_django.jobs.engine_thread import EngineThread, OnBroken, tell_nobody
from pleme_redis_django.jobs.events import EventSink, HintsBack, HintsUnavailable
from pleme_redis_django.jobs.job import QueuedJob

PAUSE_AFTER_FAILURE_SECONDS = 5.0


class HintQueue(Protocol):
    """A queue of hints that jobs are ready. Losing one costs time, never a job."""

    def wait_for_hint(self, timeout_seconds: float) -> bool:
        """Wait for a hint, take every one that is there, and return whether there was any.

        Raises an exception when the queue is unavailable.
        """
        ...

    def enqueue_many(self, queued: Sequence[QueuedJob]) -> None:
        """Hint that jobs are ready; does not raise when the queue is unavailable."""
        ...

    def nudge(self) -> None:
        """Wake one other worker; does not raise when the queue is unavailable."""
        ...

    def interrupt(self) -> None:
        """Make a ``wait_for_hint`` that is under way in another thread return soon."""
        ...


class HintListener:
    """The thread that waits for hints while its process has room for jobs."""

    def __init__(
        self,
        hints: HintQueue,
        sink: EventSink,
        *,
        on_hint: Callable[[], None],
        timeout_seconds: float,
        on_broken: OnBroken = tell_nobody,
    ) -> None:
        self._hints = hints
        self._sink = sink
        self._on_hint = on_hint
        self._timeout_seconds = timeout_seconds
        self._room = threading.Event()
        self._stopping = threading.Event()
        self._away = False
        self._thread = EngineThread(self._run, "pleme-hints", on_broken)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def set_room(self, room: bool) -> None:
        """Say whether the process can take a job: a full one leaves hints to the others."""
        if room:
            self._room.set()
        else:
            self._room.clear()

    def stop(self) -> None:
        """End the thread without waiting for it: a blocked pop must not delay a shutdown."""
        self._stopping.set()
        self._room.set()
        self._hints.interrupt()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._room.wait()
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
            self._room.clear()
            self._on_hint()

    def _pause(self, error: Exception) -> None:
        if not self._away:
            self._away = True
            self._sink.emit(HintsUnavailable(error))
        self._stopping.wait(PAUSE_AFTER_FAILURE_SECONDS)
