"""When a failed job runs again: exponential backoff with a cap, and jitter that only adds."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_BASE_SECONDS = 60
DEFAULT_MAX_SECONDS = 3600
DEFAULT_MAX_RETRIES = 3

# A random part of up to 10 % keeps jobs that failed together from coming back together. It only
# adds, so that a documented delay is a minimum.
JITTER_SHARE = 0.1

# 2^40 times any base is past every cap, and spares the arithmetic of a huge exponent.
_MAX_EXPONENT = 40


def backoff_delay(
    retry_count: int, *, base_seconds: float = DEFAULT_BASE_SECONDS, max_seconds: float = DEFAULT_MAX_SECONDS
) -> float:
    """Return the exact delay in seconds after ``retry_count`` retries: 60, 120, 240, ... up to the cap."""
    doublings = min(max(retry_count, 0), _MAX_EXPONENT)
    # The cap first: a base that does not fit into a float has no product either.
    return min(min(base_seconds, max_seconds) * float(1 << doublings), max_seconds)


def jittered(delay_seconds: float, random_share: Callable[[], float] = random.random) -> float:
    """Return ``delay_seconds`` plus a random 0 to 10 % of it."""
    return delay_seconds * (1 + JITTER_SHARE * random_share())


def following_pool(calculate_backoff_delay: F) -> F:
    """Mark the method of a job class that says the default backoff: the pool's own numbers are asked instead."""
    calculate_backoff_delay.follows_pool = True  # type: ignore[attr-defined]  # a mark that the runner reads
    return calculate_backoff_delay


def follows_pool(job: object) -> bool:
    """Whether the class of the job has no ``calculate_backoff_delay`` of its own."""
    own = getattr(type(job), "calculate_backoff_delay", None)
    return own is None or getattr(own, "follows_pool", False)
