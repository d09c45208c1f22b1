"""From a row of another queue to the call that it asks for; the row is read as it is."""

from __future__ import annotations

import functools
import sys
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest

from pleme_redis_django.adoption.foreign_call import CannotMove
from pleme_redis_django.adoption.sources import SOURCES
from pleme_redis_django.adoption.tables import DatabaseTask, OxTask, QueuedPackage

DUE = datetime(2026, 1, 1, tzinfo=UTC)


def send() -> None:
    """Do nothing."""


def database_task(run_after: datetime) -> DatabaseTask:
    return DatabaseTask(
        task_path="shop.send",
        args_kwargs={"args": [1], "kwargs": {"to": "ana"}},
        backend_name="default",
        queue_name="mail",
        priority=5,
        run_after=run_after,
    )


def test_a_task_of_django_tasks_db_says_all_that_an_enqueue_says() -> None:
    call = SOURCES["django-tasks-db"].read(database_task(DUE))
    assert (call.path, call.args, call.kwargs) == ("shop.send", [1], {"to": "ana"})
    assert (call.alias, call.queue_name, call.priority, call.run_after) == ("default", "mail", 5, DUE)
    assert call.max_retries is None


def test_its_year_9999_is_no_due_time() -> None:
    read = SOURCES["django-tasks-db"].read
    assert read(database_task(datetime(9999, 1, 1, tzinfo=UTC))).run_after is None
    assert read(database_task(datetime(9998, 1, 1, tzinfo=UTC))).run_after is not None


@pytest.mark.parametrize(
    ("attempts", "max_attempts", "retries"), [(0, 3, 2), (1, 3, 1), (3, 3, 0), (5, 3, 0), (0, 1, 0)]
)
def test_an_attempt_of_django_ox_that_was_used_up_stays_so(
    attempts: int, max_attempts: int, retries: int
) -> None:
    row = OxTask(task_path="shop.send", args=[], kwargs={}, attempts=attempts, max_attempts=max_attempts)
    assert SOURCES["django-ox"].read(row).max_retries == retries


class Packages:
    """Stands for django-q2, whose packages are values of this test."""

    opened: Any = None

    @classmethod
    def loads(cls, _payload: str) -> Any:
        if isinstance(cls.opened, Exception):
            raise cls.opened
        return cls.opened


@pytest.fixture
def django_q(monkeypatch: pytest.MonkeyPatch) -> type[Packages]:
    signing = ModuleType("django_q.signing")
    signing.SignedPackage = Packages
    monkeypatch.setitem(sys.modules, "django_q", ModuleType("django_q"))
    monkeypatch.setitem(sys.modules, "django_q.signing", signing)
    return Packages


def read_package() -> Any:
    return SOURCES["django-q2"].read(QueuedPackage(payload="signed"))


class Wrapped:
    """What a decorator may leave at a path."""

    def __init__(self, function: Any) -> None:
        self.func = function


@pytest.mark.parametrize(
    "function", ["tests.adoption.test_sources.send", send, Wrapped(send), functools.partial(send)]
)
def test_the_function_of_a_package_is_found_by_its_path(django_q: type[Packages], function: Any) -> None:
    django_q.opened = {"func": function, "args": (1,), "timeout": 5}
    call = read_package()
    assert call.path == f"{__name__}.send"
    assert (call.args, call.kwargs, call.timeout, call.alias) == ((1,), {}, 5, None)


@pytest.mark.parametrize("name", ["hook", "chain", "iter_count", "group", "cached"])
def test_what_goes_on_around_a_call_keeps_it_there(django_q: type[Packages], name: str) -> None:
    django_q.opened = {"func": send, name: "something"}
    with pytest.raises(CannotMove, match=f"it has {name}"):
        read_package()


def test_a_package_that_cannot_be_opened_stays(django_q: type[Packages]) -> None:
    django_q.opened = AttributeError("forged")
    with pytest.raises(CannotMove, match=r"cannot open its package \(AttributeError\)"):
        read_package()


def test_without_django_q2_the_next_step_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "django_q", None)
    with pytest.raises(CannotMove, match="keep it installed until its rows are moved"):
        read_package()
