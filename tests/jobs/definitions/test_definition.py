"""A job definition: what ``@job`` makes of a function, and how arguments bind."""

from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django import InvalidParameters, JobContext
from pleme_redis_django.exceptions import EnqueueError
from pleme_redis_django.jobs.definitions import definition as definition_module
from pleme_redis_django.jobs.definitions.declaring import definition_of
from tests.jobs.definitions.handlers import send, send_async


def send_anything(to: str, **fields: Any) -> dict[str, Any]:
    return fields


def test_defaults() -> None:
    definition = definition_of(send)
    assert definition.name == "tests.jobs.definitions.handlers.send"
    assert (definition.defaults, definition.unique) == ({"queue_name": "default", "priority": 0}, None)
    assert (definition.takes_context, definition.is_async) == (False, False)
    assert definition_of(send_async).is_async is True


def test_a_job_is_still_the_function_it_was() -> None:
    assert definition_of(send)("a@b", user_name="Alice") == "Hello Alice <a@b>"


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (("a@b",), {"user_name": "Alice"}),
        ((), {"to": "a@b", "user_name": "Alice"}),
    ],
)
def test_arguments_are_bound_to_their_names(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    assert definition_of(send).bind(args, kwargs) == {"to": "a@b", "user_name": "Alice"}


def test_extra_arguments_of_a_handler_that_takes_them() -> None:
    definition = definition_of(send_anything)
    assert definition.bind((), {"to": "a", "colour": "red"}) == {"to": "a", "colour": "red"}
    assert definition.bind(("a",), {"colour": "red"}) == {"to": "a", "colour": "red"}


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, r"missing \['to', 'user_name'\]"),
        ((), {"to": "a", "user_name": "b", "colour": "red"}, r"unknown \['colour'\]"),
        ((), {"to": "a", "usr_name": "b"}, r"missing \['user_name'\], unknown \['usr_name'\]"),
        (("a", "b", "c"), {"user_name": "d"}, "too many positional arguments"),
        (("a",), {"to": "b", "user_name": "c"}, "multiple values for argument 'to'"),
        (("a",), {}, "missing a required"),
    ],
)
def test_a_wrong_call_fails_at_the_caller(args: Any, kwargs: Any, message: str) -> None:
    with pytest.raises(InvalidParameters, match=message) as error:
        definition_of(send).bind(args, kwargs)
    assert "send takes (to: 'str', subject: 'str' = 'Hello', *, user_name: 'str')" in str(error.value)


def test_without_django_ready_an_enqueue_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(definition_module, "_enqueuers", [])
    with pytest.raises(EnqueueError, match="INSTALLED_APPS"):
        definition_of(send).enqueue("a", user_name="b")


@pytest.mark.parametrize("args", [(), ("a",)])
def test_the_context_cannot_be_given_at_enqueue(args: tuple[Any, ...]) -> None:
    definition = definition_of(context_and_anything)
    given = {"ctx": 1} if args else {"ctx": 1, "to": "a"}
    with pytest.raises(InvalidParameters, match="'ctx' is the JobContext"):
        definition.bind(args, given)


def context_and_anything(ctx: JobContext, to: str, **fields: Any) -> None: ...
