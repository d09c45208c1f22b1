"""Tasks that another release of the code has enqueued: renamed, moved, with another signature, or newer."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest

from pleme_redis_django.exceptions import InvalidParameters
from pleme_redis_django.models import Job
from pleme_redis_django.tasks_backend.api import (
    TaskResultDoesNotExist,
    TaskResultStatus,
    task_backends,
    task_finished,
)
from pleme_redis_django.testing import drain_jobs
from pleme_redis_django.testing.tasks_contract import tasks as contract
from pleme_redis_django.testing.tasks_contract.subject import heard
from tests.workload import tasks

pytestmark = pytest.mark.django_db

LATER = "tests.workload.tasks.comes_with_a_later_release"


def stored(result: Any, **values: Any) -> Job:
    Job.objects.filter(pk=result.id).update(**values)
    return Job.objects.get(pk=result.id)


def read(result: Any) -> Any:
    return task_backends["default"].get_result(result.id)


def test_task_of_an_unknown_path_waits_and_others_run() -> None:
    unknown, known = tasks.add.enqueue(1), tasks.add.enqueue(2)
    stored(unknown, job_type=LATER)
    assert len(drain_jobs().completed) == 1
    assert Job.objects.get(pk=unknown.id).status == "QUEUED"
    assert read(known).return_value == 3
    with pytest.raises(TaskResultDoesNotExist, match="Was it renamed or moved"):
        read(unknown)


def test_task_of_an_unknown_path_runs_once_there_is_one_again() -> None:
    result = tasks.add.enqueue(1)
    stored(result, job_type=LATER)
    drain_jobs()
    stored(result, job_type=tasks.add.module_path)
    drain_jobs()
    assert read(result).return_value == 2


def test_task_that_moved_is_run_by_what_is_kept_at_its_old_path() -> None:
    """A name in the old module is not enough, since a task's path is where its function is defined."""
    assert tasks.moved_away.module_path == "tests.workload.tasks.moved_away"
    result = tasks.moved_away.enqueue(1, right=4)
    drain_jobs()
    assert read(result).return_value == 5


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"left": 1, "gone": 2}, r"unknown \['gone'\]"),
        ({"right": 2}, r"missing \['left'\]"),
    ],
)
def test_arguments_that_fit_no_more_fail_the_attempt_by_their_names(
    parameters: dict[str, Any], said: str
) -> None:
    result = tasks.add.enqueue(1, 2)
    stored(result, parameters=parameters)
    drain_jobs()
    found = read(result)
    assert found.status == TaskResultStatus.FAILED
    assert found.errors[-1].exception_class is InvalidParameters
    assert "tests.workload.tasks.add takes" in found.errors[-1].traceback
    assert re.search(said, found.errors[-1].traceback)


def test_default_that_is_new_fills_what_an_older_release_has_not_given() -> None:
    result = tasks.add.enqueue(1, 2)
    stored(result, parameters={"left": 1})
    drain_jobs()
    found = read(result)
    assert (found.return_value, found.args) == (2, [1])


@pytest.mark.parametrize(
    "mark",
    [
        {"backend": "default", "places": 2, "shard": "a"},
        {"backend": "default", "places": "two"},
        {"backend": "default", "places": -1},
        {"backend": "default", "places": 2, "run_after": "next week"},
        {"backend": "default", "places": 2, "run_after": {"in": 5}},
    ],
)
def test_how_a_newer_release_marks_its_rows_keeps_no_task_from_running(mark: dict[str, Any]) -> None:
    result = tasks.add.enqueue(1, 2)
    stored(result, configuration={"task": mark})
    with heard(task_finished) as sent:
        drain_jobs()
    found = read(result)
    assert (found.status, found.return_value) == (TaskResultStatus.SUCCESSFUL, 3)
    assert [*found.args, *found.kwargs.values()] == [1, 2]
    assert len(sent) == 1


@pytest.mark.parametrize("mark", [{"backend": "of_a_newer_release"}, {"backend": 5}, {}, "default", None])
def test_task_of_an_alias_that_is_not_here_runs(mark: object, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    result = contract.describe.enqueue("hello")
    stored(result, configuration={"task": mark})
    with heard(task_finished) as sent:
        assert len(drain_jobs().completed) == 1
    assert Job.objects.get(pk=result.id).results["word"] == "hello"
    assert not [record for record in caplog.records if record.exc_info]
    # What names no alias is of the one that the task is declared for.
    assert len(sent) == (mark != {"backend": "of_a_newer_release"})


@pytest.mark.parametrize("configuration", ["default", 5, ["task"], True])
def test_configuration_that_is_none_keeps_no_task_from_running(
    configuration: object, caplog: pytest.LogCaptureFixture
) -> None:
    result = contract.describe.enqueue(word="hello")
    stored(result, configuration=configuration)
    with heard(task_finished) as sent:
        assert len(drain_jobs().completed) == 1
    assert read(result).return_value["word"] == "hello"
    assert not [record for record in caplog.records if record.exc_info]
    assert len(sent) == 1


def test_state_that_a_newer_release_has_is_one_that_waits() -> None:
    result = tasks.add.enqueue(1)
    stored(result, status="ON_HOLD")
    assert read(result).status == TaskResultStatus.READY


def test_option_that_a_newer_release_stores_is_passed_over() -> None:
    result = tasks.add.enqueue(1)
    stored(result, configuration={"task": {"backend": "default", "places": 1}, "of_a_newer_release": 5})
    drain_jobs()
    assert read(result).return_value == 2
