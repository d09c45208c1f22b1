"""Pulse: whether the client of a socket is still there, as far as its messages tell."""

from __future__ import annotations

from pleme_redis_django.realtime.allowance import Clock


class Pulse:
    """When the client last sent something, whether a ping waits for its answer, and how much was sent since."""

    __slots__ = ("_clock", "heard_at", "pinged_at", "unheard")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.heard_at = clock()
        self.pinged_at: float | None = None
        self.unheard = 0
        """Characters sent since the client last sent something."""

    def heard(self) -> None:
        """Note that the client sent something."""
        self.heard_at = self._clock()
        self.pinged_at = None
        self.unheard = 0

    def pinged(self) -> None:
        """Note that the client was asked whether it is there."""
        self.pinged_at = self._clock()

    def is_due(self, now: float, ping_seconds: float) -> bool:
        """Return whether to ask the client now whether it is there."""
        return self.pinged_at is None and now - self.heard_at > ping_seconds

    def is_lost(self, now: float, pong_seconds: float) -> bool:
        """Return whether the client has left a ping unanswered."""
        return self.pinged_at is not None and now - self.pinged_at > pong_seconds
