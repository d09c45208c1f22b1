"""What an enqueue returns, tells and refuses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.utils import timezone

from pleme_redis_django.tasks_backend.api import InvalidTask, TaskResultStatus, task_enqueued
from pleme_redis_django.testing.tasks_contract import tasks
from pleme_redis_django.testing.tasks_contract.subject import TasksSubject, heard


class EnqueueTests(TasksSubject):
    def test_enqueued_task_is_ready(self) -> None:
        result = tasks.add.enqueue(1, right=2)
        assert result.status == TaskResultStatus.READY
        assert (result.args, result.kwargs) == ([1], {"right": 2})
        assert result.backend == self.alias
        assert result.task == tasks.add
        assert isinstance(result.id, str)
        assert 0 < len(result.id) < 64
        assert result.enqueued_at is not None
        assert abs((result.enqueued_at - timezone.now()).total_seconds()) < 60

    def test_enqueued_task_was_not_tried(self) -> None:
        result = tasks.add.enqueue(1)
        assert (result.started_at, result.finished_at, result.last_attempted_at) == (None, None, None)
        assert (result.attempts, result.worker_ids, result.errors) == (0, [], [])
        assert not result.is_finished
        with pytest.raises(ValueError, match="not finished"):
            _ = result.return_value

    def test_async_enqueue_does_the_same(self) -> None:
        result = async_to_sync(tasks.add.aenqueue)(1, right=2)
        assert result.status == TaskResultStatus.READY
        assert (result.args, result.kwargs) == ([1], {"right": 2})

    def test_two_enqueues_are_two_tasks(self) -> None:
        assert tasks.noop.enqueue().id != tasks.noop.enqueue().id

    def test_tuples_become_lists(self) -> None:
        result = tasks.noop.enqueue((1, 2), pair=(3, (4,)))
        assert (result.args, result.kwargs) == ([[1, 2]], {"pair": [3, [4]]})

    @pytest.mark.parametrize("argument", [object(), {1, 2}, datetime(2026, 1, 1)])  # noqa: DTZ001 - not JSON
    def test_argument_that_is_not_json_is_refused(self, argument: Any) -> None:
        with pytest.raises(TypeError, match="Unsupported type"):
            tasks.noop.enqueue(argument)

    def test_naive_due_time_is_refused(self) -> None:
        self.skip_unless("supports_defer")
        with pytest.raises(InvalidTask, match="run_after must be an aware datetime"):
            tasks.noop.using(run_after=datetime(2026, 1, 1))  # noqa: DTZ001 - what is refused

    def test_enqueue_is_told_with_the_backend_class_as_sender(self) -> None:
        with heard(task_enqueued) as sent:
            result = tasks.noop.enqueue()
        assert [(one["sender"], one["task_result"].id) for one in sent] == [(type(self.backend), result.id)]
