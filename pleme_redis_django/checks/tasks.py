"""Checks of TASKS that need no tasks API; those of an alias are the backend's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error

from pleme_redis_django.tasks_backend.use import has_api, is_used


def check_tasks_api(**_kwargs: Any) -> Iterator[CheckMessage]:
    """E037: TASKS names JobBackend, and there is neither django.tasks nor its backport."""
    if is_used() and not has_api():
        yield Error(
            "TASKS names the backend of this package, and this Django has no django.tasks, which came with 6.0.",
            hint='Install the backport: pip install "pleme-redis-django[tasks]".',
            id="pleme_redis_django.E037",
        )
