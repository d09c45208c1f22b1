"""Which redis-py errors mean that Redis is away, and the one way to turn them into RedisUnavailable.

A wrong call (a type error, an unknown command, a missing permission) is no outage and is not hidden.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions

from pleme_redis_django.exceptions import RedisUnavailable

# ConnectionError covers authentication, loading and an exhausted pool. The others are answers of a
# server that cannot do its work now: a replica, a broken cluster, no memory.
OUTAGES = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    exceptions.ClusterDownError,
    exceptions.OutOfMemoryError,
    OSError,
)


def unavailable(error: BaseException) -> RedisUnavailable:
    """Return the RedisUnavailable to raise ``from error``; it names the cause and the next step."""
    reason = str(error)[:200] or type(error).__name__
    return RedisUnavailable(
        f"Redis did not do what it was asked to: {reason}. Check that the server of the configured URL runs, "
        "accepts writes and has memory left."
    )


@contextmanager
def outages_as_unavailable() -> Iterator[None]:
    """Raise RedisUnavailable in place of the redis-py errors that mean an outage."""
    try:
        yield
    except OUTAGES as error:
        raise unavailable(error) from error
