"""How results are found again."""

from __future__ import annotations

import pytest
from asgiref.sync import async_to_sync

from pleme_redis_django.tasks_backend.api import TaskResultDoesNotExist, TaskResultMismatch
from pleme_redis_django.testing.tasks_contract import tasks
from pleme_redis_django.testing.tasks_contract.subject import TasksSubject


class ResultTests(TasksSubject):
    def test_result_is_found_by_its_id(self) -> None:
        self.skip_unless("supports_get_result")
        result = tasks.noop.enqueue(1, word="a")
        assert tasks.noop.get_result(result.id) == result
        assert self.backend.get_result(result.id) == result

    def test_async_lookup_does_the_same(self) -> None:
        self.skip_unless("supports_get_result")
        result = tasks.noop.enqueue(1)
        assert async_to_sync(tasks.noop.aget_result)(result.id) == result

    @pytest.mark.parametrize("result_id", ["123", "", "00000000-0000-7000-8000-000000000000", "x" * 300])
    def test_unknown_result_does_not_exist(self, result_id: str) -> None:
        self.skip_unless("supports_get_result")
        with pytest.raises(TaskResultDoesNotExist):
            self.backend.get_result(result_id)

    def test_result_of_another_task_is_a_mismatch(self) -> None:
        self.skip_unless("supports_get_result")
        result = tasks.noop.enqueue()
        with pytest.raises(TaskResultMismatch):
            tasks.add.get_result(result.id)

    def test_options_of_the_enqueue_are_found_again(self) -> None:
        self.skip_unless("supports_get_result")
        self.skip_unless("supports_priority")
        changed = tasks.noop.using(priority=9)
        assert self.backend.get_result(changed.enqueue().id).task == changed
