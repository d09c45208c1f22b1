"""@job: what it makes of a function, what it refuses, and how arguments bind."""

from __future__ import annotations

import functools
import importlib
import sys
from datetime import datetime
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from pleme_redis_django import InvalidParameters, JobContext, job, once_per
from pleme_redis_django.exceptions import EnqueueError, InvalidJobDefinition, UnknownJobType
from pleme_redis_django.jobs.definitions import definition as definition_module
from pleme_redis_django.jobs.definitions.definition import definition_of
from pleme_redis_django.jobs.definitions.registry import JobRegistry, RegistryExecutor, registry
from pleme_redis_django.testing import MemoryJob


def send(to: str, subject: str = "Hello", *, user_name: str) -> str:
    return f"{subject} {user_name} <{to}>"


def send_with_context(ctx: JobContext, to: str) -> tuple[JobContext, str]:
    return ctx, to


def send_anything(to: str, **fields: Any) -> dict[str, Any]:
    return fields


async def send_async(to: str) -> str:
    return to


def any_context(context: JobContext, to: str) -> str:
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


def test_defaults() -> None:
    definition = definition_of(send)
    assert definition.name == "tests.jobs.definitions.test_definition.send"
    assert (definition.queue_name, definition.priority) == ("default", 0)
    assert (definition.max_retries, definition.base_retry_delay, definition.unique) == (None, None, None)
    assert (definition.takes_context, definition.is_async) == (False, False)
    assert definition_of(send_async).is_async is True


def test_a_job_is_still_the_function_it_was() -> None:
    assert definition_of(send)("a@b", user_name="Alice") == "Hello Alice <a@b>"


def test_the_context_is_taken_by_name_or_by_option() -> None:
    assert definition_of(send_with_context).takes_context is True
    assert definition_of(send_with_context).required == {"to"}
    assert definition_of(any_context).required == {"context", "to"}
    assert definition_of(any_context, takes_context=True).required == {"to"}


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


@pytest.mark.parametrize(
    "function",
    [variadic, positional, generator, async_generator, Mailer, Mailer.send, Mailer().send, local(), len,
     functools.partial(send, "a"), lambda: None, "send", None],
    ids=lambda function: getattr(function, "__name__", repr(function))[:20],
)  # fmt: skip
def test_what_a_worker_could_not_call_by_name_is_refused(function: Any) -> None:
    with pytest.raises(InvalidJobDefinition):
        definition_of(function)


@pytest.mark.parametrize(
    "options",
    [
        {"name": ""},
        {"name": "x" * 201},
        {"name": "a\nb"},
        {"name": "nul\x00"},
        {"name": 5},
        {"queue_name": "a b"},
        {"queue_name": "*"},
        {"queue_name": None},
        {"priority": 101},
        {"priority": -101},
        {"priority": 1.0},
        {"priority": True},
        {"priority": "high"},
        {"max_retries": -1},
        {"max_retries": "3"},
        {"max_retries": True},
        {"max_retries": 1.5},
        {"max_retries": 1_001},
        {"base_retry_delay": -1},
        {"base_retry_delay": float("nan")},
        {"base_retry_delay": float("inf")},
        {"base_retry_delay": 86_401},
        {"retry_on": ["ValueError"]},
        {"no_retry_on": [5]},
        {"unique": "always"},
        {"unique": 5},
        {"unique": True},
        {"unique": "once_per"},
    ],
    ids=repr,
)
def test_a_bad_option_is_refused_at_decoration(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidJobDefinition, match=r"[Aa]ccepted"):
        definition_of(send, **options)


def test_one_exception_class_needs_no_list() -> None:
    assert definition_of(send, retry_on=KeyError).retry_on == (KeyError,)  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [0, -1, 1.5, True, "60", 366 * 86_400 + 1])
def test_a_bad_period_is_refused(seconds: Any) -> None:
    with pytest.raises(InvalidJobDefinition, match="accepted is a whole number of seconds"):
        once_per(seconds)


def test_using_changes_a_copy_and_keeps_the_rest() -> None:
    definition = definition_of(send, queue_name="email")
    changed = definition.using(product="novaskyn").using(priority=5)
    assert (changed.options.product, changed.options.priority) == ("novaskyn", 5)
    assert definition.options.product is None
    assert changed.queue_name == "email"


def test_without_django_ready_an_enqueue_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(definition_module, "_enqueuers", [])
    with pytest.raises(EnqueueError, match="INSTALLED_APPS"):
        definition_of(send).enqueue("a", user_name="b")


def test_job_registers_what_it_decorates() -> None:
    decorated = job(name="tests.registered", queue_name="email")(send_async)
    assert registry.get("tests.registered") is decorated
    assert decorated in list(registry)


def test_two_functions_of_one_name_are_refused() -> None:
    jobs = JobRegistry()
    jobs.add(definition_of(send, name="mail"))
    jobs.add(definition_of(send, name="mail"))
    with pytest.raises(InvalidJobDefinition, match=r'Two jobs are named "mail".*send_async'):
        jobs.add(definition_of(send_async, name="mail"))


SAME_NAME_TWICE = """
from pleme_redis_django.jobs.definitions.definition import definition_of
def notify(): ...
jobs.add(definition_of(notify))
def notify(): ...
jobs.add(definition_of(notify))
"""


def test_two_functions_of_one_name_in_one_module_are_refused() -> None:
    with pytest.raises(InvalidJobDefinition, match=r"notify \(line 3\) and .*notify \(line 5\)"):
        exec(SAME_NAME_TWICE, {"__name__": "shop.jobs", "jobs": JobRegistry()})


def test_a_module_may_be_reloaded_after_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "from pleme_redis_django import job\n@job\ndef changing(): ...\n"
    (tmp_path / "changing_jobs.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("changing_jobs")
    importlib.reload(module)
    (tmp_path / "changing_jobs.py").write_text("\n\n" + source)
    assert importlib.reload(module).changing.name == "changing_jobs.changing"


def test_a_job_of_the_program_that_was_started_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send_async, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    with pytest.raises(InvalidJobDefinition, match=r"__main__.*no worker finds it"):
        definition_of(send_async)


def test_a_job_of_a_module_that_was_started_has_its_real_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send_async, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", ModuleSpec("shop.jobs", None))
    assert definition_of(send_async).name == "shop.jobs.send_async"


def test_an_unknown_option_is_told_with_the_nearest() -> None:
    with pytest.raises(
        InvalidJobDefinition, match=r"@job has no option 'max_retry'. Did you mean max_retries"
    ):
        job(max_retry=3)(send_async)  # type: ignore[call-overload]


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


@pytest.mark.parametrize("args", [(), ("a",)])
def test_the_context_cannot_be_given_at_enqueue(args: tuple[Any, ...]) -> None:
    definition = definition_of(context_and_anything)
    given = {"ctx": 1} if args else {"ctx": 1, "to": "a"}
    with pytest.raises(InvalidParameters, match="'ctx' is the JobContext"):
        definition.bind(args, given)


def context_and_anything(ctx: JobContext, to: str, **fields: Any) -> None: ...


def test_using_refuses_a_due_time_at_once() -> None:
    with pytest.raises(EnqueueError, match="naive"):
        definition_of(send).using(run_after=datetime(2026, 1, 1))  # noqa: DTZ001 - that is what is refused


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    jobs = JobRegistry()
    jobs.add(definition_of(send, name="shop.jobs.send"))
    with pytest.raises(UnknownJobType, match=r"Did you mean shop\.jobs\.send\?"):
        jobs.get("shop.jobs.sned")
    with pytest.raises(UnknownJobType, match="Is its module imported"):
        jobs.get("x" * 10_000)


@pytest.fixture
def executor() -> RegistryExecutor:
    jobs = JobRegistry()
    for function in (send, send_async):
        jobs.add(definition_of(function, name=function.__name__, retry_on=[KeyError], no_retry_on=[OSError]))
    return RegistryExecutor(jobs)


def test_the_executor_calls_the_handler_that_the_type_names(executor: RegistryExecutor) -> None:
    found = executor.execute(MemoryJob(job_type="send", parameters={"to": "a@b", "user_name": "Alice"}))
    assert found == "Hello Alice <a@b>"
    assert (executor.sync_job_types(), executor.async_job_types()) == ({"send"}, {"send_async"})
    assert executor.retry_rules("send") == ((KeyError,), (OSError,))


def test_parameters_that_no_longer_fit_are_invalid(executor: RegistryExecutor) -> None:
    with pytest.raises(InvalidParameters, match="unknown"):
        executor.execute(MemoryJob(job_type="send", parameters={"to": "a", "user_name": "b", "old": 1}))


def test_an_unknown_type_has_no_rules_of_its_own(executor: RegistryExecutor) -> None:
    with pytest.raises(UnknownJobType):
        executor.execute(MemoryJob(job_type="gone"))
    assert executor.retry_rules("gone") == ((), ())
