"""What middleware costs where none is listed: nothing of it is called, and the same callables are."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from pleme_redis_django import middleware
from pleme_redis_django.configured_pools import configured_pool, executor_of
from pleme_redis_django.jobs.interface.endings import Completed
from pleme_redis_django.jobs.worker.runner import JobRunner
from pleme_redis_django.models import Job
from pleme_redis_django.orm_store.store import OrmJobStore
from pleme_redis_django.testing import drain_jobs, job_context
from tests.middleware import classes
from tests.middleware.conftest import UseMiddleware
from tests.workload.jobs import add, add_slowly, noop

pytestmark = pytest.mark.django_db

ROOM = str(Path(middleware.__file__).parent)


def called(action: Callable[[], object]) -> list[str]:
    """Return the files of all Python functions that ``action`` calls in this thread."""
    files: list[str] = []

    def note(frame: FrameType, event: str, _arg: Any) -> None:
        if event == "call":
            files.append(frame.f_code.co_filename)

    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(None)
    return files


def in_the_room(files: list[str]) -> int:
    return sum(file.startswith(ROOM) or file.endswith("requested_rows.py") for file in files)


def enqueue_and_run() -> None:
    add.enqueue(1, 2)
    add.enqueue_many([{"left": 1, "right": 2}])
    add_slowly.enqueue(1, 2)
    assert len(drain_jobs().completed) == 3


def test_an_empty_list_calls_nothing_of_it(use: UseMiddleware) -> None:
    enqueue_and_run()
    assert in_the_room(called(enqueue_and_run)) == 0
    use(classes.Nothing)
    enqueue_and_run()
    assert in_the_room(called(enqueue_and_run)) > 0


def test_an_empty_list_leaves_executor_runner_and_claims_as_they_are(use: UseMiddleware) -> None:
    parts = configured_pool("default")
    assert executor_of(parts) is parts.executor
    assert JobRunner(executor_of(parts), parts.config)._execute == parts.executor.execute
    assert not OrmJobStore(Job, using="default")._table.loads_metadata
    use(classes.AsyncEnqueue)
    assert executor_of(parts) is parts.executor, "it has no attempt"
    use(classes.Nothing)
    assert executor_of(parts) is not parts.executor
    assert not OrmJobStore(Job, using="default")._table.loads_metadata, "it says that it reads none"
    use(classes.Nothing, classes.Outer)
    assert OrmJobStore(Job, using="default")._table.loads_metadata


def test_chains_are_composed_once(use: UseMiddleware) -> None:
    use(classes.Nothing, classes.Outer)
    enqueue_and_run()
    composed = [file for file in called(lambda: add.enqueue(1, 2)) if file.endswith("loading.py")]
    assert composed == []


def test_an_attempt_calls_little_beside_the_middleware_itself(use: UseMiddleware) -> None:
    """Calls are counted, since times would be the machine's."""
    without = _calls_of_an_attempt()
    use(classes.Nothing)
    others = Counter(_calls_of_an_attempt()) - Counter(without)
    assert others == Counter(
        {"execute_attempt": 1, "run": 1, "attempt": 1, "call_next": 1, "_call": 1, "has_own_parameters": 1}
    )


def _calls_of_an_attempt() -> list[str]:
    parts = configured_pool("default")
    runner = JobRunner(executor_of(parts), parts.config)
    job = noop.enqueue()
    names: list[str] = []

    def note(frame: FrameType, event: str, _arg: Any) -> None:
        if event == "call":
            names.append(frame.f_code.co_name)

    for _ in range(2):  # The first composes and compiles.
        context = job_context(job)
        names.clear()
        sys.setprofile(note)
        try:
            ending = runner.run(context)
        finally:
            sys.setprofile(None)
        assert isinstance(ending, Completed)
    return names
