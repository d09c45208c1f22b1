"""TasksBackendContract: what every backend of django.tasks (DEP 14) must do, as tests that run on yours.

    @pytest.mark.django_db
    class TestMyBackend(TasksBackendContract):
        def run_tasks(self):
            run_whatever_is_enqueued()

The tests use the alias "default" of ``TASKS``. One method tells them how to run, to its end, whatever is
enqueued and due: in the calling process, or by workers of your own, which then have to import
``pleme_redis_django.testing.tasks_contract.tasks``, and the class says ``runs_here = False``. A test of
what the backend's ``supports_`` flags deny is skipped.
"""

from __future__ import annotations

from pleme_redis_django.testing.tasks_contract.declarations import DeclarationTests
from pleme_redis_django.testing.tasks_contract.enqueues import EnqueueTests
from pleme_redis_django.testing.tasks_contract.results import ResultTests
from pleme_redis_django.testing.tasks_contract.runs import RunTests
from pleme_redis_django.testing.tasks_contract.subject import TasksSubject

__all__ = ["TasksBackendContract", "TasksSubject"]


class TasksBackendContract(DeclarationTests, EnqueueTests, ResultTests, RunTests):
    """Subclass it under a name that pytest collects (``Test...``), and fill in ``run_tasks``."""
