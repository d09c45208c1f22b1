"""What middleware costs where none is listed: nothing of it is called, and the same callables are."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from pleme_redis_django import middleware
from pleme_redis_django.configured_pools import configured_pool, executor_of
from pleme_redis_django.jobs.interface.context import JobContext
from pleme_redis_django.jobs.interface.endings import Completed, Ending
from pleme_redis_django.jobs.worker.runner import JobRunner
from pleme_redis_django.models import Job
from pleme_redis_django.orm_store.store import OrmJobStore
from pleme_redis_django.testing import drain_jobs, job_context
from tests.calls import codes_called
from tests.middleware import classes
from tests.middleware.conftest import UseMiddleware
from tests.workload.jobs import add, add_slowly, noop

pytestmark = pytest.mark.django_db

ROOM = str(Path(middleware.__file__).parent)


def called(action: Callable[[], object]) -> list[str]:
    """Return the files of all Python functions that ``action`` calls in this thread."""
    return [code.co_filename for code in codes_called(action)]


def called_names(action: Callable[[], object]) -> list[str]:
    """Return the names of all Python functions that ``action`` calls in this thread."""
    return [code.co_name for code in codes_called(action)]


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


def test_an_enqueue_calls_little_beside_the_middleware_itself(use: UseMiddleware) -> None:
    """What the row has is worked out once, as without middleware, where it is left alone."""
    without = _calls_of_an_enqueue()
    use(classes.Nothing)
    others = Counter(_calls_of_an_enqueue()) - Counter(without)
    assert others == Counter(
        {
            "surround_enqueues": 1,
            "requested_rows": 1,
            "metadata": 1,
            "_request": 1,
            "__init__": 2,  # Of the request, and of the group that its row is in.
            "passed_through": 1,
            "run": 1,
            "enqueue": 1,  # Its own.
            "call_next": 1,
            "_unchanged": 1,
            "_is_of": 1,
            "_row": 1,
            "checked_parameters_json": 1,
            "_store_groups": 1,
        }
    )


def test_what_has_no_enqueue_is_not_in_the_way_of_one(use: UseMiddleware) -> None:
    without = _calls_of_an_enqueue()
    use(classes.SyncAlone)
    assert Counter(_calls_of_an_enqueue()) - Counter(without) == Counter({"surround_enqueues": 1})


def _calls_of_an_enqueue() -> list[str]:
    for _ in range(2):  # The first composes and compiles.
        names = called_names(noop.enqueue)
    return names


def _calls_of_an_attempt() -> list[str]:
    parts = configured_pool("default")
    runner = JobRunner(executor_of(parts), parts.config)
    job = noop.enqueue()
    endings: list[Ending] = []

    def run(context: JobContext) -> None:
        endings.append(runner.run(context))

    for _ in range(2):  # The first composes and compiles.
        names = called_names(functools.partial(run, job_context(job)))
    assert [type(ending) for ending in endings] == [Completed, Completed]
    return names
