"""Rows of other queues become jobs: which, with what, once, and what is said of those that stay.

The tables have the shape that a move reads; tests/migrations_from/ has the real ones.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from types import ModuleType
from typing import Any
from unittest.mock import Mock
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings
from django.utils import timezone

from pleme_redis_django.adoption import moving
from pleme_redis_django.adoption.moving import adopt
from pleme_redis_django.adoption.sources import SOURCES
from pleme_redis_django.adoption.tables import DatabaseTask, OxTask, QueuedPackage
from pleme_redis_django.models import Job
from pleme_redis_django.testing import drain_jobs
from tests.tasks_backend.other_backend import ElsewhereBackend
from tests.workload import jobs, tasks

pytestmark = pytest.mark.django_db

TABLES = (DatabaseTask, OxTask, QueuedPackage)


@pytest.fixture(autouse=True)
def tables(db: None) -> Iterator[None]:
    """Create the tables; where the test has no transaction that takes them away, delete them."""
    with connection.schema_editor() as editor:
        for table in TABLES:
            editor.create_model(table)
    yield
    if not connection.in_atomic_block:
        with connection.schema_editor() as editor:
            for table in TABLES:
                editor.delete_model(table)


def database_task(**values: Any) -> DatabaseTask:
    given = {
        "id": uuid4(),
        "status": "READY",
        "task_path": tasks.add.module_path,
        "args_kwargs": {"args": [1], "kwargs": {"right": 2}},
        "queue_name": "default",
        "priority": 0,
        "backend_name": "default",
        "run_after": datetime(9999, 1, 1, tzinfo=UTC),
    }
    return DatabaseTask.objects.create(**given | values)


def ox_task(**values: Any) -> OxTask:
    given = {
        "id": uuid4(),
        "status": "READY",
        "task_path": tasks.add.module_path,
        "args": [1, 2],
        "kwargs": {},
        "queue_name": "default",
        "priority": 0,
        "backend_name": "default",
        "run_after": None,
        "attempts": 0,
        "max_attempts": 3,
    }
    return OxTask.objects.create(**given | values)


class JsonPackage:
    """Stands for django-q2's signed pickles."""

    @staticmethod
    def loads(payload: str) -> Any:
        return json.loads(payload)


@pytest.fixture
def django_q(monkeypatch: pytest.MonkeyPatch) -> None:
    signing = ModuleType("django_q.signing")
    signing.SignedPackage = JsonPackage
    monkeypatch.setitem(sys.modules, "django_q", ModuleType("django_q"))
    monkeypatch.setitem(sys.modules, "django_q.signing", signing)


def package(lock: datetime | None = None, **values: Any) -> QueuedPackage:
    given = {"id": "a", "name": "b", "func": jobs.add.name, "args": [1], "kwargs": {"right": 2}}
    payload = json.dumps(given | values)
    return QueuedPackage.objects.create(key="default", payload=payload, lock=lock or timezone.now())


def moved_job() -> Job:
    return Job.objects.get()


# What a job has of its row


def test_task_of_django_tasks_db_is_the_job_that_an_enqueue_makes() -> None:
    row = database_task(queue_name="mail", priority=7)
    assert adopt(SOURCES["django-tasks-db"]).moved == 1
    job = moved_job()
    assert (job.job_type, job.queue_name, job.priority) == (tasks.add.module_path, "mail", 7)
    assert (job.status, job.parameters) == ("QUEUED", {"left": 1, "right": 2})
    assert job.metadata == {"adopted_from": "django-tasks-db", "adopted_id": str(row.pk)}
    result = tasks.add.get_result(str(job.pk))
    assert (result.args, result.kwargs) == ([1], {"right": 2})
    drain_jobs()
    result.refresh()
    assert result.return_value == 3
    assert not DatabaseTask.objects.exists()


def test_due_time_is_kept() -> None:
    due = timezone.now() + timedelta(hours=5)
    database_task(run_after=due)
    ox_task(run_after=due)
    for name in ("django-tasks-db", "django-ox"):
        adopt(SOURCES[name])
    assert set(Job.objects.values_list("run_after", "status")) == {(due, "PENDING")}


@pytest.mark.parametrize(("attempts", "left"), [(0, 2), (1, 1), (2, 0), (3, 0)])
def test_attempts_that_django_ox_has_made_are_not_given_back(attempts: int, left: int) -> None:
    ox_task(attempts=attempts)
    assert adopt(SOURCES["django-ox"]).moved == 1
    assert moved_job().max_retries == left


@pytest.mark.usefixtures("django_q")
def test_package_of_django_q2_is_the_job_of_its_function() -> None:
    package(timeout=30)
    assert adopt(SOURCES["django-q2"]).moved == 1
    job = moved_job()
    assert (job.job_type, job.parameters, job.timeout_seconds) == (
        jobs.add.name,
        {"left": 1, "right": 2},
        30.0,
    )


@pytest.mark.usefixtures("django_q")
def test_package_may_name_a_task() -> None:
    package(func=tasks.add.module_path)
    assert adopt(SOURCES["django-q2"]).moved == 1
    drain_jobs()
    assert moved_job().results == 3


def test_unique_task_joins_the_job_that_waits() -> None:
    first = tasks.only_once.enqueue("a")
    database_task(task_path=tasks.only_once.module_path, args_kwargs={"args": ["a"], "kwargs": {}})
    assert adopt(SOURCES["django-tasks-db"]).moved == 1
    assert str(moved_job().pk) == first.id


# What is left alone


@pytest.mark.parametrize("status", ["RUNNING", "FAILED", "SUCCESSFUL"])
def test_task_that_does_not_wait_is_left(status: str) -> None:
    database_task(status=status)
    ox_task(status=status)
    for name in ("django-tasks-db", "django-ox"):
        adoption = adopt(SOURCES[name])
        assert (adoption.moved, adoption.running) == (0, status == "RUNNING")
    assert not Job.objects.exists()


@pytest.mark.usefixtures("django_q")
def test_package_that_a_cluster_has_is_left() -> None:
    package(lock=timezone.now() + timedelta(minutes=1))
    adoption = adopt(SOURCES["django-q2"])
    assert (adoption.moved, adoption.running) == (0, 1)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"task_path": "tests.workload.tasks.gone"}, "was it renamed or moved"),
        ({"task_path": "subprocess.check_output"}, "has no task"),
        ({"args_kwargs": {"args": [1], "kwargs": {"unknown": 2}}}, "got an unexpected keyword"),
        ({"args_kwargs": {"args": [], "kwargs": {}}}, "missing"),
        ({"args_kwargs": {"args": [1]}}, "cannot be read"),
        ({"args_kwargs": ["a"]}, "cannot be read"),
        ({"queue_name": "nowhere"}, "is not valid for backend"),
        ({"priority": 101}, "priority"),
        ({"backend_name": "gone"}, r'TASKS\["gone"\] is not the backend'),
    ],
)
def test_row_that_cannot_be_moved_stays_with_a_reason(values: dict[str, Any], reason: str) -> None:
    stays, moves = database_task(**values), database_task()
    for dry_run in (True, False):
        adoption = adopt(SOURCES["django-tasks-db"], dry_run=dry_run)
        ((said, refusal),) = adoption.refused.items()
        assert re.search(reason, said)
        assert (refusal.count, refusal.keys, adoption.moved) == (1, [str(stays.pk)], 1)
    assert list(DatabaseTask.objects.values_list("pk", flat=True)) == [stays.pk]
    assert moved_job().metadata["adopted_id"] == str(moves.pk)


def test_task_stays_while_its_alias_is_of_another_backend() -> None:
    database_task()
    path = f"{ElsewhereBackend.__module__}.{ElsewhereBackend.__qualname__}"
    with override_settings(TASKS={"default": {"BACKEND": path}}):
        adoption = adopt(SOURCES["django-tasks-db"])
    assert "not the backend of this package" in str(adoption.refused)
    assert adoption.moved == 0


@pytest.mark.usefixtures("django_q")
@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"func": "tests.workload.jobs.gone"}, 'no @job or task is named "tests.workload.jobs.gone"'),
        ({"hook": "shop.hooks.done"}, "it has hook, which a job does not have"),
        ({"chain": [["a", []]], "group": "g"}, "it has chain, group"),
        ({"kwargs": {"unknown": 1}}, "missing a required argument"),
        ({"args": [1, 2], "kwargs": {"unknown": 1}}, "unexpected keyword"),
        ({"timeout": -5}, "timeout"),
    ],
)
def test_package_that_cannot_be_moved_stays_with_a_reason(values: dict[str, Any], reason: str) -> None:
    package(**values)
    for dry_run in (True, False):
        (said,) = adopt(SOURCES["django-q2"], dry_run=dry_run).refused
        assert reason in said
    assert QueuedPackage.objects.count() == 1


@pytest.mark.usefixtures("django_q")
def test_package_that_django_q2_cannot_open_stays() -> None:
    QueuedPackage.objects.create(key="default", payload="forged", lock=timezone.now())
    (said,) = adopt(SOURCES["django-q2"]).refused
    assert said == "django-q2 cannot open its package (JSONDecodeError)"


def test_package_stays_where_django_q2_is_gone() -> None:
    package()
    (said,) = adopt(SOURCES["django-q2"]).refused
    assert "keep it installed" in said


# Once, whole, and as often as one likes


def test_second_run_moves_nothing_twice() -> None:
    database_task()
    assert [adopt(SOURCES["django-tasks-db"]).moved for _ in range(3)] == [1, 0, 0]
    assert Job.objects.count() == 1


def test_many_rows_are_moved_in_batches_past_those_that_stay() -> None:
    for number in range(7):
        database_task(task_path="tests.gone" if number % 3 == 0 else tasks.add.module_path)
    adoption = adopt(SOURCES["django-tasks-db"], batch_size=2)
    assert (adoption.moved, Job.objects.count(), DatabaseTask.objects.count()) == (4, 4, 3)
    (refusal,) = adoption.refused.values()
    assert (refusal.count, len(refusal.keys)) == (3, 3)


def test_dry_run_changes_nothing() -> None:
    database_task()
    database_task(task_path="tests.gone")
    adoption = adopt(SOURCES["django-tasks-db"], dry_run=True)
    assert (adoption.moved, len(adoption.refused)) == (1, 1)
    assert (Job.objects.count(), DatabaseTask.objects.count()) == (0, 2)


@pytest.mark.parametrize("broken", ["after the job", "after the batch"])
def test_end_of_the_process_in_a_batch_loses_and_doubles_nothing(
    broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What dies rolls its transaction back: the batches before it are moved, its own is as it was."""
    for _ in range(4):
        database_task()
    whole, moves = moving._move, Mock(side_effect=[True, True, True, KeyboardInterrupt])

    def move(*arguments: Any, **options: Any) -> bool:
        assert whole(*arguments, **options)
        return bool(moves())

    with monkeypatch.context() as patched:
        if broken == "after the job":
            patched.setattr(moving, "_move", move)
        else:
            connected = Mock(side_effect=[None, KeyboardInterrupt])
            patched.setattr(
                moving, "_delete", lambda *given: (given[0].filter(pk__in=given[1]).delete(), connected())
            )
        with pytest.raises(KeyboardInterrupt):
            adopt(SOURCES["django-tasks-db"], batch_size=2)
    assert (Job.objects.count(), DatabaseTask.objects.count()) == (2, 2)
    assert adopt(SOURCES["django-tasks-db"]).moved == 2
    assert (Job.objects.count(), DatabaseTask.objects.count()) == (4, 0)


@pytest.mark.django_db(transaction=True)
def test_row_that_a_worker_of_the_other_queue_takes_is_passed_over() -> None:
    taken, free = database_task(), database_task()
    theirs = connection.copy()
    try:
        theirs.set_autocommit(False)
        with theirs.cursor() as cursor:
            cursor.execute(
                "SELECT id FROM django_tasks_database_dbtaskresult WHERE id = %s FOR UPDATE", [taken.pk]
            )
        assert adopt(SOURCES["django-tasks-db"]).moved == 1
        assert moved_job().metadata["adopted_id"] == str(free.pk)
        theirs.rollback()
    finally:
        theirs.close()
    assert adopt(SOURCES["django-tasks-db"]).moved == 1


@pytest.mark.django_db(transaction=True)
def test_batch_is_one_transaction_on_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another connection sees: the jobs of a batch come with the end of its rows."""
    for _ in range(4):
        database_task()
    theirs = connection.copy()
    seen: list[tuple[int, int]] = []

    def look() -> tuple[int, int]:
        with theirs.cursor() as cursor:
            cursor.execute(
                "SELECT (SELECT count(*) FROM pleme_redis_django_job),"
                " (SELECT count(*) FROM django_tasks_database_dbtaskresult)"
            )
            return tuple(cursor.fetchone())

    whole = moving._delete

    def delete(*given: Any) -> None:
        whole(*given)
        seen.append(look())

    monkeypatch.setattr(moving, "_delete", delete)
    try:
        adopt(SOURCES["django-tasks-db"], batch_size=2)
        assert [*seen, look()] == [(0, 4), (2, 2), (4, 0)]
    finally:
        theirs.close()


# The command


def output(*arguments: str) -> tuple[int, str]:
    stdout = StringIO()
    try:
        call_command("adopttasks", *arguments, stdout=stdout)
    except CommandError as error:
        return error.returncode, f"{stdout.getvalue()}{error}"
    return 0, stdout.getvalue()


@pytest.mark.usefixtures("django_q")
def test_command_moves_the_rows_of_every_table_there_is() -> None:
    database_task()
    database_task(status="RUNNING")
    ox_task()
    assert output("--dry-run") == (
        0,
        "django-tasks-db: 1 could be moved\n  1 run now, and are left to their workers\n"
        "django-ox: 1 could be moved\ndjango-q2: 0 could be moved\n",
    )
    assert output("django-ox") == (0, "django-ox: 1 moved\n")
    assert output()[1].startswith("django-tasks-db: 1 moved\n")
    assert Job.objects.count() == 2


def test_command_lists_what_stays_and_fails() -> None:
    row = database_task(task_path="tests.gone")
    code, text = output()
    assert code == 1
    assert f'  1 stay ({row.pk}): this code has no task "tests.gone"; was it renamed or moved?' in text


def test_command_says_that_there_is_no_such_table() -> None:
    with connection.schema_editor() as editor:
        for table in TABLES:
            editor.delete_model(table)
    for arguments in ((), ("django-ox",)):
        code, text = output(*arguments)
        assert code == 2
        assert "has no" in text
        assert "django_ox_oxtask" in text


@pytest.mark.parametrize("size", ["0", "10001"])
def test_command_refuses_a_batch_of_a_wrong_size(size: str) -> None:
    assert f"--batch-size is {size}. Accepted: " in output("--batch-size", size)[1]


def test_command_refuses_an_unknown_source() -> None:
    with pytest.raises(CommandError, match="invalid choice: 'celery'"):
        call_command("adopttasks", "celery")
