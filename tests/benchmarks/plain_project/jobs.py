"""The only job of the project."""

from __future__ import annotations

from pleme_redis_django import job


@job
def noop() -> None:
    """Do nothing, as fast as possible."""
