"""A task that is declared where TASKS names another backend."""

from __future__ import annotations

from pleme_redis_django.tasks_backend.api import task


@task
def elsewhere() -> None:
    """Do nothing."""
