"""Pause: after an outage, callers skip Redis for a while, instead of each waiting for a timeout."""

from __future__ import annotations

import time
import weakref

from pleme_redis_django.exceptions import RedisUnavailable
from pleme_redis_django.redis_state.server.outages import OUTAGES


class Pause:
    """Remembers that Redis was away a moment ago, for all callers of one kind in this process."""

    def __init__(
        self, seconds: float, message: str, *, after: tuple[type[BaseException], ...] = OUTAGES
    ) -> None:
        self._seconds = seconds
        self._message = message
        self._after = after
        self._until = 0.0
        _pauses.add(self)

    def check(self) -> None:
        """Raise RedisUnavailable during the pause."""
        if self._until and time.monotonic() < self._until:
            raise RedisUnavailable(self._message)
        self._until = 0.0

    def failed(self, error: BaseException) -> None:
        """Begin the pause if it is for this kind of error of redis-py."""
        if isinstance(error, self._after):
            self._until = time.monotonic() + self._seconds

    def reset(self) -> None:
        self._until = 0.0


_pauses: weakref.WeakSet[Pause] = weakref.WeakSet()


def reset_pauses() -> None:
    """End every pause of this process: it may be about to talk to another server."""
    for pause in _pauses:
        pause.reset()
