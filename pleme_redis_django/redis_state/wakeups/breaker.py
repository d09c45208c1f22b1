"""HintBreaker: after a failed hint, no hint is sent for a while, and one warning says so."""

from __future__ import annotations

import logging
import threading
import time
from typing import Protocol, TypeVar

import redis

from pleme_redis_django.exceptions import RedisUnavailable

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

logger = logging.getLogger("pleme_redis_django.hints")

# A Redis that does not answer costs a push its timeout (250 ms): at most one push in this many seconds.
PAUSE_SECONDS = 5.0


class Hint(Protocol[T_co]):
    """What is sent if it is worth a try: a RedisCall. Raises RedisUnavailable."""

    def run(self) -> T_co: ...


class HintBreaker:
    """Whether a hint is worth a try, for the whole process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed_until = 0.0
        self._warned = False

    def ask(self, hint: Hint[T]) -> T | None:
        """Return the answer to a hint; None if Redis is away, or was a moment ago."""
        if not self.allows():
            return None
        try:
            answer = hint.run()
        except (RedisUnavailable, redis.RedisError) as error:
            self.failed(error)
            return None
        self.succeeded()
        return answer

    def allows(self) -> bool:
        """Whether the pause after the last failure is over."""
        return time.monotonic() >= self._closed_until

    def failed(self, error: Exception) -> None:
        """Pause, and warn if this is the first failure since the last success."""
        with self._lock:
            self._closed_until = time.monotonic() + PAUSE_SECONDS
            warned, self._warned = self._warned, True
        if not warned:
            logger.warning(
                "Redis did not take a wake-up hint (%s). Jobs are stored and will start when a worker scans the "
                "database, within its poll_timeout. Hints are tried again every %.0f s.",
                type(error.__cause__ or error).__name__,
                PAUSE_SECONDS,
            )

    def succeeded(self) -> None:
        """Note that Redis answers."""
        if self._warned:
            self._warned = False
            logger.info("Redis takes wake-up hints again.")

    def reset(self) -> None:
        """Forget every failure."""
        self._closed_until, self._warned = 0.0, False


hint_breaker = HintBreaker()
"""The breaker of this process."""
