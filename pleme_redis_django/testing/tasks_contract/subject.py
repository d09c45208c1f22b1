"""What the tests of the contract are told about a backend, and how they listen to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.dispatch import Signal

from pleme_redis_django.tasks_backend.api import BaseTaskBackend, task_backends


class TasksSubject(ABC):
    """The backend under test."""

    alias = "default"
    runs_here = True
    """Whether ``run_tasks`` runs the tasks in the calling process, so that their signals are heard there."""

    @property
    def backend(self) -> BaseTaskBackend:
        return task_backends[self.alias]

    @abstractmethod
    def run_tasks(self) -> None:
        """Run whatever is enqueued and due, to its end."""

    def skip_unless(self, flag: str) -> None:
        """Skip the test when the backend says that it cannot do this."""
        if not getattr(self.backend, flag):
            pytest.skip(f"{flag} is False")


@contextmanager
def heard(signal: Signal) -> Iterator[list[dict[str, Any]]]:
    """Collect what a signal sends."""
    sent: list[dict[str, Any]] = []

    def receiver(**payload: Any) -> None:
        sent.append(payload)

    signal.connect(receiver, weak=False)
    try:
        yield sent
    finally:
        signal.disconnect(receiver)
