"""From what a row asks for to the enqueue of it here; and why a row stays where it is."""

from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django.adoption.calls import call_of
from pleme_redis_django.adoption.foreign_call import CannotMove, ForeignCall
from pleme_redis_django.exceptions import InvalidParameters
from tests.workload import jobs, tasks


def a_call(**values: Any) -> ForeignCall:
    given: dict[str, Any] = {"key": 1, "path": jobs.add.name, "args": [1], "kwargs": {"right": 2}}
    return ForeignCall(**given | values)


def test_a_job_of_that_name_is_called_with_its_arguments_by_name() -> None:
    definition, parameters = call_of(a_call(max_retries=4, timeout=5.0), {"adopted_from": "elsewhere"})
    assert (definition.name, parameters) == (jobs.add.name, {"left": 1, "right": 2})
    assert dict(definition.options) == {
        "metadata": {"adopted_from": "elsewhere"},
        "max_retries": 4,
        "timeout": 5.0,
    }


def test_what_the_row_does_not_say_the_job_does() -> None:
    definition, _parameters = call_of(a_call(), {})
    assert set(definition.options) <= {"metadata"}


def test_a_name_that_nobody_has_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        CannotMove, match=rf'no @job or task is named "{jobs.add.name}s". Did you mean {jobs.add.name}'
    ):
        call_of(a_call(path=f"{jobs.add.name}s"), {})
    with pytest.raises(CannotMove, match="Decorate the function with @job"):
        call_of(a_call(path="zzzzzzzz"), {})


def test_arguments_that_do_not_fit_are_refused_as_at_an_enqueue() -> None:
    with pytest.raises(InvalidParameters, match="takes"):
        call_of(a_call(args=[1, 2, 3]), {})


def test_a_task_goes_by_its_alias() -> None:
    row = a_call(path=tasks.add.module_path, alias="default", queue_name="default", priority=5)
    definition, parameters = call_of(row, {})
    said = {**definition.defaults, **definition.options}
    assert (definition.name, said["priority"], said["queue_name"]) == (tasks.add.module_path, 5, "default")
    assert parameters == {"left": 1, "right": 2}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"alias": "nowhere"}, r'TASKS\["nowhere"\] is not the backend of this package'),
        ({"alias": "default", "path": "shop.gone"}, 'this code has no task "shop.gone"'),
        ({"alias": "default", "path": tasks.add.module_path, "queue_name": "no such queue"}, "no such queue"),
    ],
    ids=["alias", "path", "queue"],
)
def test_a_task_that_cannot_be_enqueued_here_stays_with_the_reason(
    values: dict[str, Any], reason: str
) -> None:
    with pytest.raises(CannotMove, match=reason):
        call_of(a_call(**values), {})
