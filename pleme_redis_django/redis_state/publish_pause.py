"""PublishPause: after a publish that Redis left unanswered, none waits for it for a while.

A server that refuses or is gone answers at once and costs nothing; one that hangs costs each caller the
whole timeout, and most publish after a commit, inside a request.
"""

from __future__ import annotations

import time

from redis.exceptions import TimeoutError as RedisTimeoutError

from pleme_redis_django.exceptions import RedisUnavailable

PAUSE_SECONDS = 5.0


class PublishPause:
    """Whether Redis hung a moment ago, for every publisher of the process."""

    def __init__(self) -> None:
        self._until = 0.0

    def check(self) -> None:
        """Raise RedisUnavailable during the pause."""
        if self._until and time.monotonic() < self._until:
            raise RedisUnavailable(
                f"Redis did not answer a publish a moment ago, and is not asked for {PAUSE_SECONDS:.0f} s. "
                "Check that the server of the configured URL is not stopped or busy."
            )

    def failed(self, error: RedisUnavailable) -> None:
        """Begin the pause when the server was silent."""
        if isinstance(error.__cause__, RedisTimeoutError):
            self._until = time.monotonic() + PAUSE_SECONDS

    def reset(self) -> None:
        """End the pause."""
        self._until = 0.0


publish_pause = PublishPause()
"""The pause of this process."""
