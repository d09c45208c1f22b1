"""What the project has run as tasks; the settings say by whom. Empty where Django has no tasks."""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("django.tasks"):
    from django.tasks import task

    @task
    def add(left: int, right: int = 0) -> int:
        return left + right
