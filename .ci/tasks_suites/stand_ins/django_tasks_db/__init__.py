"""In the place of django-tasks-db, for its suite: its names, over this package's backend, rows and worker."""

from __future__ import annotations

from pleme_redis_django.tasks_backend import JobBackend


class DatabaseBackend(JobBackend):
    """In the place of its backend."""
