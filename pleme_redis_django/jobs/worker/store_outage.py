"""StoreOutage: how a thread of the engine waits and logs while the store fails."""

from __future__ import annotations

import threading

from pleme_redis_django.jobs.interface.events import EventSink, StoreBack, StoreUnavailable

FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 5.0


class StoreOutage:
    """Waits longer after each failure in a row, and tells once that the store is away and back."""

    def __init__(
        self,
        operation: str,
        sink: EventSink,
        stopping: threading.Event,
        *,
        longest_wait_seconds: float = LONGEST_WAIT_SECONDS,
    ) -> None:
        self._operation = operation
        self._sink = sink
        self.stopping = stopping
        """Set once nobody waits for the store any more."""
        self._longest_wait = longest_wait_seconds
        self._next_wait = min(FIRST_WAIT_SECONDS, longest_wait_seconds)
        self._away = False
        self.error: BaseException | None = None
        """The last failure, while the store is away."""

    def report(self, error: BaseException) -> None:
        """Tell what went wrong, unless that was told already."""
        is_news = not self._away or type(error) is not type(self.error)
        self.error = error
        if is_news:
            self._away = True
            self._sink.emit(StoreUnavailable(self._operation, error))

    def wait_after(self, error: BaseException) -> bool:
        """Report the failure and wait; return False when the process is stopping."""
        self.report(error)
        wait = self._next_wait
        self._next_wait = min(wait * 2, self._longest_wait)
        return not self.stopping.wait(wait)

    @property
    def is_away(self) -> bool:
        """Whether the last that is known of the store is a failure."""
        return self._away

    def succeeded(self) -> None:
        """Forget past failures, and tell that the store is back if it was away.

        To be called only once the store has really answered something.
        """
        self._next_wait = min(FIRST_WAIT_SECONDS, self._longest_wait)
        self.error = None
        if self._away:
            self._away = False
            self._sink.emit(StoreBack(self._operation))
