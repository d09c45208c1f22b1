"""What may be cached, for how long, and under which names."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Any, TypedDict

from pleme_redis_django.exceptions import InvalidName, InvalidNumber, ValueTooLarge
from pleme_redis_django.redis_state.cache import envelope
from pleme_redis_django.redis_state.server.keyspace import digest

KEY_MAX_LENGTH = 2000
MOST_TAGS = 32
LONGEST_TIMEOUT_SECONDS = 30 * 24 * 3600.0
LONGEST_GRACE_SECONDS = 24 * 3600.0
LONGEST_BUILD_SECONDS = 3600.0


@dataclasses.dataclass(frozen=True, slots=True)
class Uncached:
    """What a builder returns for a value that the caller gets, and that the cache does not keep."""

    value: Any


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How get_or_set stores the value of a builder, and guards the build."""

    ttl_ms: int
    none_ttl_ms: int
    """For a builder that returned None; 0: not kept."""
    grace_ms: int
    beta: float
    lease_ms: int
    wait_seconds: float
    tag_digests: tuple[str, ...]

    def ttl_ms_of(self, value: Any) -> int:
        """Return for how long a built value is fresh, 0 if it is not kept."""
        if isinstance(value, Uncached):
            return 0
        return self.none_ttl_ms if value is None else self.ttl_ms


class BuildOptions(TypedDict, total=False):
    """The options of ``CacheManager.get_or_set``, which documents them."""

    tags: Iterable[str]
    grace: float
    none_timeout: float | None
    beta: float
    build_seconds: float
    wait_seconds: float


def recipe(
    ttl_ms: int,
    *,
    tags: Iterable[str] = (),
    grace: float = 0,
    none_timeout: float | None = None,
    beta: float = 1.0,
    build_seconds: float = 30.0,
    wait_seconds: float = 30.0,
) -> Recipe:
    """Return the recipe of these ``BuildOptions``. Raises InvalidNumber, InvalidName."""
    none_ttl_ms = ttl_ms if none_timeout is None else 0 if none_timeout == 0 else timeout_ms(none_timeout)
    return Recipe(
        ttl_ms=ttl_ms,
        none_ttl_ms=none_ttl_ms,
        grace_ms=milliseconds("grace", grace, low=0, high=LONGEST_GRACE_SECONDS),
        beta=eagerness(beta),
        lease_ms=milliseconds("build_seconds", build_seconds, low=0.01, high=LONGEST_BUILD_SECONDS),
        wait_seconds=milliseconds("wait_seconds", wait_seconds, low=0, high=LONGEST_BUILD_SECONDS) / 1000,
        tag_digests=tag_digests(tags),
    )


def packed(value: Any, key: str, limit_bytes: int, *, grace_ms: int = 0, build_ms: int = 0) -> bytes:
    """Return the tail of an entry. Raises ValueTooLarge, UncacheableValue."""
    tail = envelope.pack_tail(value, grace_ms=grace_ms, build_ms=build_ms)
    if len(tail) > limit_bytes:
        raise ValueTooLarge(
            f"The value of {key[:80]!r} takes {len(tail):,} bytes in the cache, and "
            f'PLEME_REDIS["CACHE_MAX_VALUE_BYTES"] is {limit_bytes:,}. Cache less of it, or split it.',
            size_bytes=len(tail),
            limit_bytes=limit_bytes,
        )
    return tail


def validate_key(key: object) -> str:
    """Return ``key`` unchanged. Raises InvalidName for anything but text of 1 to 2,000 characters."""
    if isinstance(key, str) and 0 < len(key) <= KEY_MAX_LENGTH:
        return key
    raise InvalidName(
        f"{str(key)[:60]!a} is not a valid cache key. Accepted: text of 1 to {KEY_MAX_LENGTH:,} characters."
    )


def tag_digests(tags: Iterable[str]) -> tuple[str, ...]:
    """Return the digests of tags, each once, in an order that does not depend on the caller's.

    Raises InvalidName for a bad tag or more than 32.
    """
    if isinstance(tags, str):
        raise InvalidName(f"tags is the text {tags[:60]!r}. Accepted: a list or tuple of tags.")
    digests = sorted({digest(validate_key(tag)) for tag in tags})
    if len(digests) > MOST_TAGS:
        raise InvalidName(f"{len(digests)} tags on one entry. Accepted: {MOST_TAGS} at most.")
    return tuple(digests)


def milliseconds(name: str, seconds: object, *, low: float, high: float) -> int:
    """Return a duration in whole milliseconds, rounded up.

    Raises InvalidNumber, naming the parameter, for anything but a number from ``low`` to ``high``.
    """
    if not isinstance(seconds, bool) and isinstance(seconds, int | float) and low <= seconds <= high:
        return math.ceil(seconds * 1000)
    raise InvalidNumber(
        f"{name} is {str(seconds)[:40]!r}. Accepted: a number from {low:g} to {high:,.0f} seconds. Every entry "
        "expires; to remove one now, delete it."
    )


def timeout_ms(timeout: object) -> int:
    """Return an entry's time to live in ms. Raises InvalidNumber outside 0.001 s to 30 days."""
    return milliseconds("timeout", timeout, low=0.001, high=LONGEST_TIMEOUT_SECONDS)


def whole_number(delta: object) -> int:
    """Return what to add to a counter. Raises InvalidNumber for anything but a whole number up to 2^53."""
    if type(delta) is int and abs(delta) < 2**53:
        return delta
    raise InvalidNumber(f"delta is {str(delta)[:40]!r}. Accepted: a whole number between -2^53 and 2^53.")


def eagerness(value: object) -> float:
    """Return the eagerness of early refreshes. Raises InvalidNumber for anything but 0 to 100."""
    if not isinstance(value, bool) and isinstance(value, int | float) and 0 <= value <= 100:
        return float(value)
    raise InvalidNumber(f"beta is {str(value)[:40]!r}. Accepted: a number from 0 (never early) to 100.")
