"""The contract of django.tasks backends on JobBackend, in the test's transaction."""

from __future__ import annotations

import pytest

from pleme_redis_django.tasks_backend import JobBackend
from pleme_redis_django.testing import TasksBackendContract, drain_jobs


@pytest.mark.django_db
class TestJobBackend(TasksBackendContract):
    def run_tasks(self) -> None:
        drain_jobs(with_retries=True)

    def test_backend_is_the_one_of_the_package(self) -> None:
        assert isinstance(self.backend, JobBackend)

    def test_backend_can_all_that_dep_14_names(self) -> None:
        """The contract skips what a backend says that it cannot: none of it here."""
        assert self.backend.supports_defer
        assert self.backend.supports_async_task
        assert self.backend.supports_get_result
        assert self.backend.supports_priority


def test_a_contract_that_cannot_run_tasks_says_what_is_missing() -> None:
    with pytest.raises(TypeError, match="run_tasks"):
        TasksBackendContract()
