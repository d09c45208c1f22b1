"""Which tasks a backend refuses, when they are declared and when ``using()`` changes them."""

from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django.tasks_backend.api import InvalidTask, task
from pleme_redis_django.testing.tasks_contract import tasks
from pleme_redis_django.testing.tasks_contract.subject import TasksSubject


def without_context(word: str) -> None:
    """Take no context, whatever its task says."""


class DeclarationTests(TasksSubject):
    def test_function_inside_a_function_is_refused(self) -> None:
        def inner() -> None:
            """Stand where no worker finds it."""

        with pytest.raises(InvalidTask, match="module level"):
            task(inner)

    def test_context_without_a_parameter_for_it_is_refused(self) -> None:
        with pytest.raises(InvalidTask, match="context"):
            task(takes_context=True)(without_context)  # type: ignore[arg-type]  # what is refused

    def test_unknown_queue_is_refused(self) -> None:
        with pytest.raises(InvalidTask, match="Queue 'no-such-queue' is not valid"):
            tasks.add.using(queue_name="no-such-queue")

    @pytest.mark.parametrize("priority", [-101, 101, 1.5])
    def test_priority_out_of_range_is_refused(self, priority: Any) -> None:
        self.skip_unless("supports_priority")
        with pytest.raises(InvalidTask, match="whole number between -100 and 100"):
            tasks.add.using(priority=priority)

    def test_using_leaves_the_task_as_it_was(self) -> None:
        self.skip_unless("supports_priority")
        changed = tasks.add.using(priority=7)
        assert (changed.priority, tasks.add.priority) == (7, 0)
        assert changed.func is tasks.add.func
