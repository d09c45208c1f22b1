"""LoopWatch: whether an event loop turns, asked from another thread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

# A loop that has not turned for this long is blocked. It is asked only once a handler in it did not heed its timeout.
BLOCKED_SECONDS = 2.0


class LoopWatch:
    """Questions to one event loop, for one thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float] = time.monotonic) -> None:
        self._loop = loop
        self._clock = clock
        self._asked_at = 0.0
        self._has_answered = False
        self._ask()

    def is_blocked(self) -> bool:
        """Whether the loop has not answered for too long."""
        if self._has_answered:
            self._ask()
            return False
        return self._clock() - self._asked_at >= BLOCKED_SECONDS

    def _ask(self) -> None:
        self._has_answered = False
        self._asked_at = self._clock()
        # A closed loop runs nothing that could be blocked.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._answer)

    def _answer(self) -> None:
        self._has_answered = True
