"""A backend that is not this package's."""

from __future__ import annotations

from typing import Any

from pleme_redis_django.tasks_backend.api import BaseTaskBackend


class ElsewhereBackend(BaseTaskBackend):
    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        raise AssertionError("the tests enqueue nothing here")
