"""What the function of a job may be, and what it takes."""

from __future__ import annotations

import functools
import sys
from importlib.machinery import ModuleSpec
from typing import Any

import pytest

from pleme_redis_django import InvalidParameters, JobContext
from pleme_redis_django.exceptions import InvalidJobDefinition
from pleme_redis_django.jobs.definitions.declaring import definition_of
from tests.jobs.definitions.handlers import send, send_async


def send_with_context(ctx: JobContext, to: str) -> Any:
    return ctx, to


def any_context(context: Any, to: str) -> str:
    return to


def variadic(*recipients: str) -> None: ...


def positional(to: str, /) -> None: ...


def generator() -> Any:
    yield 1


async def async_generator() -> Any:
    yield 1


class Mailer:
    def send(self) -> None: ...


def local() -> Any:
    def inner() -> None: ...

    return inner


def test_the_context_is_taken_by_name_or_by_option() -> None:
    assert definition_of(send_with_context).takes_context is True
    assert definition_of(send_with_context).required == {"to"}
    assert definition_of(any_context).required == {"context", "to"}
    assert definition_of(any_context, takes_context=True).required == {"to"}


@pytest.mark.parametrize(
    "function",
    [variadic, positional, generator, async_generator, Mailer, Mailer.send, Mailer().send, local(), len,
     functools.partial(send, "a"), lambda: None, "send", None],
    ids=lambda function: getattr(function, "__name__", repr(function))[:20],
)  # fmt: skip
def test_what_a_worker_could_not_call_by_name_is_refused(function: Any) -> None:
    with pytest.raises(InvalidJobDefinition):
        definition_of(function)


def test_a_job_of_the_program_that_was_started_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send_async, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    with pytest.raises(InvalidJobDefinition, match=r"__main__.*no worker finds it"):
        definition_of(send_async)


def test_a_job_of_a_module_that_was_started_has_its_real_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send_async, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", ModuleSpec("shop.jobs", None))
    assert definition_of(send_async).name == "shop.jobs.send_async"


def injecting(function: Any) -> Any:
    @functools.wraps(function)
    def with_connection(n: int) -> Any:
        return function("connection", n)

    return with_connection


@injecting
def injected(connection: str, n: int) -> Any:
    return connection, n


def passing_on(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@passing_on
def passed_on(ctx: JobContext, n: int) -> Any:
    return n


def test_a_wrapper_that_names_its_parameters_is_what_is_called() -> None:
    definition = definition_of(injected)
    assert definition.bind((5,), {}) == {"n": 5}
    assert definition.function(**definition.bind((), {"n": 5})) == ("connection", 5)


def test_a_wrapper_that_passes_everything_on_takes_what_the_function_takes() -> None:
    definition = definition_of(passed_on)
    assert (definition.takes_context, definition.required) == (True, {"n"})
    with pytest.raises(InvalidParameters, match="__signature__"):
        definition.bind((), {})
