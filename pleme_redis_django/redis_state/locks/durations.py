"""Which times to live, waits and limits are accepted; a lock without an end is not."""

from __future__ import annotations

import math

from pleme_redis_django.exceptions import InvalidNumber

SHORTEST_TTL_SECONDS = 0.01
LONGEST_TTL_SECONDS = 24 * 3600.0
LONGEST_WAIT_SECONDS = 24 * 3600.0
LARGEST_LIMIT = 100_000


def ttl_milliseconds(ttl_seconds: object) -> int:
    """Return a time to live in whole milliseconds, rounded down.

    Raises InvalidNumber for anything but a number from 0.01 to 86,400 seconds.
    """
    seconds = _number(ttl_seconds)
    if seconds is None or not SHORTEST_TTL_SECONDS <= seconds <= LONGEST_TTL_SECONDS:
        raise InvalidNumber(
            f"ttl_seconds is {str(ttl_seconds)[:40]!r}. Accepted: a number from {SHORTEST_TTL_SECONDS} to "
            f"{LONGEST_TTL_SECONDS:,.0f} seconds. For work of unknown length, use a short time and auto_renew=True."
        )
    return int(seconds * 1000)


def wait_duration(wait_seconds: object) -> float:
    """Return a wait in seconds. Raises InvalidNumber for anything but a number from 0 to 86,400."""
    seconds = _number(wait_seconds)
    if seconds is None or not 0 <= seconds <= LONGEST_WAIT_SECONDS:
        raise InvalidNumber(
            f"wait_seconds is {str(wait_seconds)[:40]!r}. Accepted: a number from 0 (one attempt) to "
            f"{LONGEST_WAIT_SECONDS:,.0f} seconds."
        )
    return seconds


def permit_limit(limit: object) -> int:
    """Return a semaphore's limit. Raises InvalidNumber for anything but 1 to 100,000 permits."""
    if type(limit) is int and 1 <= limit <= LARGEST_LIMIT:
        return limit
    raise InvalidNumber(
        f"limit is {str(limit)[:40]!r}. Accepted: a whole number from 1 to {LARGEST_LIMIT:,}."
    )


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
