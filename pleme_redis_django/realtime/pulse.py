"""Pulse: whether the client of a socket is still there, as far as can be told from what it sends."""

from __future__ import annotations

from pleme_redis_django.realtime.token_bucket import Clock


class Pulse:
    """When the client was heard, whether a ping waits for its answer, and how much was sent since."""

    __slots__ = ("_clock", "heard_at", "pinged_at", "unheard")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.heard_at = clock()
        self.pinged_at: float | None = None
        self.unheard = 0
        """Characters sent since the client was heard."""

    def heard(self) -> None:
        """Note that the client sent something."""
        self.heard_at = self._clock()
        self.pinged_at = None
        self.unheard = 0

    def pinged(self) -> None:
        """Note that the client was asked for a sign of life."""
        self.pinged_at = self._clock()

    def is_due(self, now: float, ping_seconds: float) -> bool:
        """Tell whether the client is to be asked for a sign of life."""
        return self.pinged_at is None and now - self.heard_at > ping_seconds

    def is_lost(self, now: float, pong_seconds: float) -> bool:
        """Tell whether the client left a ping unanswered."""
        return self.pinged_at is not None and now - self.pinged_at > pong_seconds
