"""TurningThread: a thread of the engine that repeats one step until it is stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pleme_redis_django.jobs.interface.events import EventSink
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.engine_thread import EngineThread
from pleme_redis_django.jobs.worker.store_outage import LONGEST_WAIT_SECONDS, StoreOutage


class TurningThread:
    """Calls ``turn`` again and again, each time after the seconds that it returned, or once it is woken.

    A turn that raises is reported as trouble with ``operation``, and followed by the next one after a pause
    that grows. It tells ``outage`` itself when the store has answered: a turn may have had nothing to ask.
    """

    def __init__(
        self,
        name: str,
        turn: Callable[[], float],
        sink: EventSink,
        agenda: Agenda,
        *,
        operation: str,
        wake: threading.Event | None = None,
        on_failure: Callable[[], None] = lambda: None,
        at_end: Callable[[], None] = lambda: None,
        first_turn_in: float = 0.0,
        longest_wait_seconds: float = LONGEST_WAIT_SECONDS,
    ) -> None:
        self._turn = turn
        self._on_failure = on_failure
        self._at_end = at_end
        self._first_turn_in = first_turn_in
        self._wake = wake or threading.Event()
        self._stopping = threading.Event()
        self.outage = StoreOutage(operation, sink, self._stopping, longest_wait_seconds=longest_wait_seconds)
        self._thread = EngineThread(self._run, name, agenda)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Have the next turn now; from any thread."""
        self._wake.set()

    def stop(self, timeout_seconds: float) -> bool:
        """End after the turn that is under way; return whether that was in time."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        self._rest(self._first_turn_in)
        while not self._stopping.is_set():
            try:
                wait_seconds = self._turn()
            except Exception as error:
                self._on_failure()
                self.outage.wait_after(error)
            else:
                self._rest(wait_seconds)
        self._at_end()

    def _rest(self, seconds: float) -> None:
        if seconds > 0:
            self._wake.wait(seconds)
        self._wake.clear()
