"""How tasks run and end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from pleme_redis_django.tasks_backend.api import TaskResult, TaskResultStatus, task_finished, task_started
from pleme_redis_django.testing.tasks_contract import tasks
from pleme_redis_django.testing.tasks_contract.subject import TasksSubject, heard


class RunTests(TasksSubject):
    def ended(self, result: TaskResult[Any, Any]) -> TaskResult[Any, Any]:
        self.skip_unless("supports_get_result")
        self.run_tasks()
        result.refresh()
        assert result.is_finished, f"{result.task.module_path} is {result.status}"
        return result

    def test_returned_value_is_kept(self) -> None:
        result = self.ended(tasks.add.enqueue(20, right=22))
        assert (result.status, result.return_value) == (TaskResultStatus.SUCCESSFUL, 42)
        assert result.errors == []

    def test_run_leaves_its_traces(self) -> None:
        result = self.ended(tasks.add.enqueue(1))
        assert result.attempts == len(result.worker_ids) == 1
        assert all(result.worker_ids)
        assert result.started_at is not None
        assert result.last_attempted_at is not None
        assert result.finished_at is not None
        assert result.started_at <= result.finished_at

    def test_async_task_runs(self) -> None:
        self.skip_unless("supports_async_task")
        assert self.ended(tasks.add_slowly.enqueue(20, 22)).return_value == 42

    def test_arguments_arrive_as_they_were_given(self) -> None:
        result = self.ended(tasks.echo.enqueue(1, [2], word="a", args="b"))
        assert result.return_value == {"args": [1, [2]], "kwargs": {"word": "a", "args": "b"}}
        assert (result.args, result.kwargs) == ([1, [2]], {"word": "a", "args": "b"})

    def test_nothing_returned_is_none(self) -> None:
        assert self.ended(tasks.noop.enqueue()).return_value is None

    def test_returned_tuples_become_lists(self) -> None:
        assert self.ended(tasks.nested.enqueue()).return_value == [[1, 2], {"a": [3]}]

    def test_returned_value_that_is_not_json_fails_the_task(self) -> None:
        result = self.ended(tasks.not_json.enqueue())
        assert result.status == TaskResultStatus.FAILED
        assert issubclass(result.errors[-1].exception_class, Exception)

    def test_context_tells_of_the_running_task(self) -> None:
        result = self.ended(tasks.describe.enqueue("hello"))
        assert result.return_value == {"id": result.id, "status": "RUNNING", "attempt": 1, "word": "hello"}

    def test_async_task_takes_a_context(self) -> None:
        self.skip_unless("supports_async_task")
        result = self.ended(tasks.describe_slowly.enqueue())
        assert result.return_value == result.id

    def test_failed_task_keeps_what_was_raised(self) -> None:
        result = self.ended(tasks.fail.enqueue("the message"))
        assert result.status == TaskResultStatus.FAILED
        error = result.errors[-1]
        assert (error.exception_class_path, error.exception_class) == ("builtins.ValueError", ValueError)
        assert "the message" in error.traceback
        assert "in fail" in error.traceback
        with pytest.raises(ValueError, match="failed"):
            _ = result.return_value

    def test_failed_async_task_keeps_what_was_raised(self) -> None:
        self.skip_unless("supports_async_task")
        assert self.ended(tasks.fail_slowly.enqueue()).errors[-1].exception_class is LookupError

    def test_deferred_task_waits(self) -> None:
        self.skip_unless("supports_defer")
        self.skip_unless("supports_get_result")
        later = tasks.noop.using(run_after=timezone.now() + timedelta(hours=1)).enqueue()
        self.run_tasks()
        later.refresh()
        assert (later.status, later.attempts) == (TaskResultStatus.READY, 0)

    def test_higher_priority_runs_first(self) -> None:
        self.skip_unless("supports_priority")
        if not self.runs_here:
            pytest.skip("which of several workers was first cannot be seen")
        tasks.order.clear()
        for word, priority in (("low", -5), ("none", 0), ("high", 5)):
            tasks.note.using(priority=priority).enqueue(word)
        self.run_tasks()
        assert tasks.order == ["high", "none", "low"]

    def test_start_and_end_are_told_with_the_backend_class_as_sender(self) -> None:
        if not self.runs_here:
            pytest.skip("signals are sent in another process")
        with heard(task_started) as started, heard(task_finished) as finished:
            result = tasks.add.enqueue(1)
            self.run_tasks()
        for sent in (started, finished):
            assert [(one["sender"], one["task_result"].id) for one in sent] == [
                (type(self.backend), result.id)
            ]
        told = finished[0]["task_result"]
        assert (told.status, told.return_value, told.attempts) == (TaskResultStatus.SUCCESSFUL, 2, 1)

    def test_end_of_a_failed_task_is_told_while_its_exception_is_handled(self) -> None:
        import sys

        if not self.runs_here:
            pytest.skip("signals are sent in another process")
        handled: list[Any] = []

        def receiver(task_result: Any, **_kwargs: Any) -> None:
            handled.append((task_result.status, sys.exc_info()[0]))

        task_finished.connect(receiver)
        try:
            tasks.fail.enqueue()
            self.run_tasks()
        finally:
            task_finished.disconnect(receiver)
        assert handled == [(TaskResultStatus.FAILED, ValueError)]
