"""An outage of Redis as the error that callers get: RedisUnavailable."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pleme_redis_django.exceptions import RedisUnavailable
from pleme_redis_django.redis_state.server.outages import OUTAGES


def unavailable(error: BaseException) -> RedisUnavailable:
    """Return the RedisUnavailable to raise ``from error``; it names the cause and the next step."""
    reason = str(error)[:200] or type(error).__name__
    return RedisUnavailable(
        f"Redis did not do what it was asked to: {reason}. Check that the server of the configured URL runs, "
        "accepts writes, has memory left, and that its user has the rights that the guide for operating lists."
    )


@contextmanager
def outages_as_unavailable() -> Iterator[None]:
    """Raise RedisUnavailable in place of the redis-py errors that mean an outage."""
    try:
        yield
    except OUTAGES as error:
        raise unavailable(error) from error
