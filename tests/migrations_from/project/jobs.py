"""What the project has run: a function for django-q2, and as a job under the same name."""

from __future__ import annotations

from pleme_redis_django import job


@job
def add(left: int, right: int = 0) -> int:
    return left + right
