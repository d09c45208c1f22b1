"""From an exception to what is stored of it, however hostile the exception is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.exceptions import ValidationError as DjangoValidationError

from pleme_redis_django import ExecutionFailed, InvalidParameters, JobCancelled, ProviderError
from pleme_redis_django.jobs.interface.endings import Failure
from pleme_redis_django.jobs.interface.failures import engine_failure, failure_of, is_retryable


class BrokenText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text for you")


class TextThatIsNoText(Exception):
    def __str__(self) -> str:
        return 5


class TextThatExits(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class BrokenCode(ExecutionFailed):
    @property
    def error_code(self) -> str:
        raise RuntimeError("no code for you")


HostileName = type("HostileName", (Exception,), {"__module__": "shop\x00errors\ud800"})
HostileName.__qualname__ = "Q\x00\udfff" + "q" * 1_000
HostileName.__name__ = "N" * 500


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def recursing(depth: int) -> None:
    if depth:
        recursing(depth - 1)
    raise ValueError("deep")


def assert_storable(failure: Failure) -> None:
    for text in (
        failure.message,
        failure.error_code,
        failure.exception_class,
        failure.traceback,
        failure.fingerprint,
        *failure.details().values(),
    ):
        assert "\x00" not in text
        assert len(text.encode()) <= 64 * 1024
    assert len(failure.error_code) <= 100
    assert len(failure.fingerprint) == 32
    json.dumps(failure.details())


HOSTILE: list[BaseException] = [
    ValueError("x" * 10_000_000),
    ValueError("\x00 and \ud800"),
    ValueError(),
    ValueError({"not": ["a", "string"]}),
    BrokenText(),
    TextThatIsNoText(),
    TextThatExits(),
    BrokenCode("x"),
    HostileName("x"),
    ExecutionFailed("x", error_code="c\x00\ud800" * 200),
    ExecutionFailed("x", error_code=5),
    ExceptionGroup("several", [ValueError("a\x00"), BrokenText()]),
    KeyboardInterrupt(),
    SystemExit(1),
]


@pytest.mark.parametrize("error", HOSTILE, ids=lambda error: type(error).__name__[:20])
def test_a_failure_is_always_storable(error: BaseException) -> None:
    assert_storable(failure_of(raised(error), "shop.jobs.send"))


def test_a_failure_tells_what_where_and_why() -> None:
    failure = failure_of(raised(ProviderError("the mail server is away")), "shop.jobs.send")
    assert failure.message == "the mail server is away"
    assert failure.error_code == "provider_error"
    assert failure.exception_class == "pleme_redis_django.exceptions.ProviderError"
    assert "in raised" in failure.traceback
    assert failure.details() == {
        "error_code": "provider_error",
        "exception_class": "pleme_redis_django.exceptions.ProviderError",
    }


def test_an_exception_without_a_message_is_called_by_its_class() -> None:
    assert failure_of(raised(ValueError()), "t").message == "ValueError"


def test_an_executor_error_may_bring_its_code() -> None:
    assert failure_of(ProviderError("x", error_code="smtp_450"), "t").error_code == "smtp_450"
    assert failure_of(KeyError("x"), "t").error_code == "KeyError"


def test_a_deep_recursion_keeps_its_last_frames() -> None:
    try:
        recursing(500)
    except ValueError as error:
        trace = failure_of(error, "t").traceback
    assert trace.count("in recursing") <= 60
    assert trace.rstrip().endswith("ValueError: deep")


def test_a_chain_of_causes_is_kept() -> None:
    try:
        try:
            raise ConnectionError("refused")
        except ConnectionError as cause:
            raise ProviderError("away") from cause
    except ProviderError as error:
        trace = failure_of(error, "t").traceback
    assert "ConnectionError: refused" in trace
    assert "The above exception was the direct cause" in trace


def test_failures_of_one_cause_share_a_fingerprint() -> None:
    same = [failure_of(raised(ValueError(text)), "t").fingerprint for text in ("one", "two")]
    assert len(set(same)) == 1
    others = {
        failure_of(raised(KeyError("one")), "t").fingerprint,
        failure_of(raised(ValueError("one")), "another.type").fingerprint,
        engine_failure("worker_died", "x", "t").fingerprint,
    }
    assert len({*others, *same}) == 4


def pydantic_like() -> type[Exception]:
    return type("ValidationError", (ValueError,), {"__module__": "pydantic_core._pydantic_core"})


@pytest.mark.parametrize(
    ("error", "retried"),
    [
        (ExecutionFailed("x"), True),
        (ProviderError("x"), True),
        (ValueError("x"), True),
        (SystemExit(1), True),
        (InvalidParameters("x"), False),
        (JobCancelled("x"), False),
        (DjangoValidationError("x"), False),
        (pydantic_like()("x"), False),
        (type("Own", (pydantic_like(),), {})("x"), False),
        (type("Own", (DjangoValidationError,), {})("x"), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_which_errors_are_worth_a_retry(error: BaseException, retried: bool) -> None:
    assert is_retryable(error) is retried


@pytest.mark.parametrize(
    ("retry_on", "no_retry_on", "retried"),
    [
        ((), (KeyError,), False),
        ((LookupError,), (KeyError,), False),
        ((KeyError,), (ValueError,), True),
    ],
)
def test_the_jobs_own_rules_come_first(retry_on: Any, no_retry_on: Any, retried: bool) -> None:
    assert is_retryable(KeyError("x"), retry_on, no_retry_on) is retried


def test_a_rule_may_retry_what_is_never_retried() -> None:
    assert is_retryable(InvalidParameters("x"), retry_on=(InvalidParameters,)) is True


@pytest.mark.parametrize(
    ("errors", "retried"),
    [
        ([ProviderError("x"), ProviderError("y")], True),
        ([ProviderError("x"), InvalidParameters("y")], False),
        ([DjangoValidationError("x")], False),
        (
            [ExceptionGroup("inner", [OSError("x"), ExceptionGroup("inmost", [InvalidParameters("y")])])],
            False,
        ),
    ],
    ids=["all", "one-wrong", "validation", "nested"],
)
def test_a_group_is_worth_a_retry_when_all_in_it_are(errors: list[Exception], retried: bool) -> None:
    assert is_retryable(ExceptionGroup("tasks", errors)) is retried


@pytest.mark.parametrize(("rules", "retried"), [({"no_retry_on": (KeyError,)}, False), ({}, True)])
def test_the_jobs_own_rules_look_into_a_group(rules: Any, retried: bool) -> None:
    group = ExceptionGroup("tasks", [OSError("x"), KeyError("y")])
    assert is_retryable(group, **rules) is retried


def test_a_rule_may_retry_a_group_with_what_is_never_retried() -> None:
    group = ExceptionGroup("tasks", [InvalidParameters("x")])
    assert is_retryable(group, retry_on=(InvalidParameters,)) is True
