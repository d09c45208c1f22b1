"""JobBackend in the places of Django's own two backends, for their suites."""

from __future__ import annotations

from typing import Any

from pleme_redis_django.tasks_backend import JobBackend


class RecordingBackend(JobBackend):
    """In the place of DummyBackend: keeps what it has enqueued, beside the rows."""

    def __init__(self, alias: str, params: Any) -> None:
        super().__init__(alias, params)
        self.results: list[Any] = []

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        result = super().enqueue(task, args, kwargs)
        self.results.append(result)
        return result

    def clear(self) -> None:
        from pleme_redis_django.models import Job

        self.results.clear()
        Job.objects.all().delete()


class RunningBackend(JobBackend):
    """In the place of ImmediateBackend: runs what it has enqueued, as a worker does."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        from pleme_redis_django.testing import drain_jobs

        result = super().enqueue(task, args, kwargs)
        drain_jobs()
        result.refresh()
        return result
