"""A task that is declared where TASKS names another backend."""

from __future__ import annotations

from pleme_redis_django.tasks_backend.api import task


@task
def elsewhere(first: int = 0, second: int = 0, *rest: int, word: str = "", **more: int) -> None:
    """Do nothing."""
