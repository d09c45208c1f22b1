"""Allowance: how many things may pass in a second."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds since some moment; they never go back."""


class Allowance:
    """Lets ``rate`` things a second pass, and ``burst`` (twice as many) at once after a pause (a token bucket)."""

    __slots__ = ("_capacity", "_clock", "_rate", "_since", "_tokens")

    def __init__(self, rate: float, burst: float | None = None, *, clock: Clock = time.monotonic) -> None:
        self._rate = rate
        self._capacity = self._tokens = 2.0 * rate if burst is None else burst
        self._clock = clock
        self._since = clock()

    def take(self, cost: float = 1.0) -> bool:
        """Take ``cost`` tokens; return whether there were enough."""
        now = self._clock()
        self._tokens = min(self._capacity, self._tokens + (now - self._since) * self._rate)
        self._since = now
        if self._tokens < cost:
            return False
        self._tokens -= cost
        return True

    def charge(self, cost: float) -> None:
        """Take ``cost`` tokens for what is done already; missing tokens are owed, up to one burst."""
        self._tokens = max(self._tokens - cost, -self._capacity)

    def is_full(self) -> bool:
        """Whether nothing was taken for so long that a new one would be the same."""
        return self._tokens + (self._clock() - self._since) * self._rate >= self._capacity
