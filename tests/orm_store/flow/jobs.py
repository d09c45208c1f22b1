"""A job of no limit, which tests of flow control enqueue with keys."""

from __future__ import annotations

from pleme_redis_django import job


@job
def step(number: int = 0) -> int:
    return number
