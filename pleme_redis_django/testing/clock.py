"""ManualClock: a clock that moves only when a test says so."""

from __future__ import annotations

import threading

# Any fixed moment will do. This one is far from 0, so that a wrong unit is noticed.
START_SECONDS = 1_700_000_000.0


class ManualClock:
    """A clock to call for the seconds since the epoch; it stands still until ``advance()``."""

    def __init__(self, start_seconds: float = START_SECONDS) -> None:
        self._now = start_seconds
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass. Raises ValueError for a negative number: clocks of stores do not go back."""
        if seconds < 0:
            raise ValueError(f"advance({seconds!r}): accepted is a number of seconds from 0 on.")
        with self._lock:
            self._now += seconds
