"""When a failed job is tried again: whose word counts, and what is no delay."""

from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django import Discard, RetryAfter, Snooze, WorkerPoolConfig
from pleme_redis_django.exceptions import InvalidNumber, InvalidSettings
from pleme_redis_django.jobs.interface.endings import Cancelled, Failed, Retried, Snoozed
from pleme_redis_django.jobs.interface.retry import JITTER_SHARE
from pleme_redis_django.jobs.worker.retry_delays import delay_before_retry, retry_delay
from pleme_redis_django.jobs.worker.retry_rules import rule_of_pool
from pleme_redis_django.jobs.worker.runner import JobRunner
from pleme_redis_django.testing import MemoryJob, MemoryJobStore
from tests.jobs.recording import FunctionExecutor, claimed, context_of

CONFIG = WorkerPoolConfig()
NO_DELAYS = [-1, -0.001, float("nan"), float("inf"), 10**12, 10**400, "60", None, True]


class OwnBackoff(MemoryJob):
    """A job model with a backoff of its own."""

    answer: Any = 7

    def calculate_backoff_delay(self) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class DelayingExecutor(FunctionExecutor):
    """An executor whose types have a ``retry_delay``."""

    def __init__(self, error: BaseException, rule: Any) -> None:
        super().__init__(lambda job: _raise(error))
        self.rule = rule

    def retry_delay_of(self, job_type: str) -> Any:
        return self.rule


def _raise(error: BaseException) -> None:
    raise error


def ending_of(error: BaseException, rule: Any = None, **fields: Any) -> Any:
    job = claimed(MemoryJobStore(), **fields)
    return JobRunner(DelayingExecutor(error, rule), CONFIG).run(context_of(job))


def test_a_snooze_is_no_failure() -> None:
    ending = ending_of(Snooze(90), retry_count=2, max_retries=2)
    assert isinstance(ending, Snoozed)
    assert (ending.delay_seconds, ending.retry_count) == (90, 2)


def test_a_discarded_job_is_cancelled_with_its_reason() -> None:
    ending = ending_of(Discard("the order is gone"))
    assert isinstance(ending, Cancelled)
    assert (ending.failure.error_code, ending.failure.message) == ("discarded", "the order is gone")


def test_a_named_delay_is_kept_as_it_is() -> None:
    """Neither the backoff, nor its cap, nor the random part of it."""
    ending = ending_of(RetryAfter(CONFIG.max_retry_delay + 1, "too many requests"))
    assert isinstance(ending, Retried)
    assert ending.delay_seconds == CONFIG.max_retry_delay + 1
    assert (ending.retry_count, ending.failure.message) == (1, "too many requests")


def test_a_named_delay_grants_no_further_retry() -> None:
    assert isinstance(ending_of(RetryAfter(5), retry_count=1, max_retries=1), Failed)


@pytest.mark.parametrize("kind", [Snooze, RetryAfter])
@pytest.mark.parametrize("seconds", NO_DELAYS, ids=lambda value: repr(value)[:20])
def test_what_is_no_delay_is_refused_where_it_is_said(kind: Any, seconds: Any) -> None:
    with pytest.raises(InvalidNumber, match=r"Accepted: a number of seconds from 0 to 31,536,000"):
        kind(seconds)


def test_a_function_says_the_delay_by_the_retry_and_the_error() -> None:
    asked: list[tuple[int, BaseException]] = []

    def rule(retry: int, error: BaseException) -> float:
        asked.append((retry, error))
        return 12.5

    error = KeyError("x")
    ending = ending_of(error, rule, retry_count=1)
    assert (ending.delay_seconds, ending.retry_count) == (12.5, 2)
    assert asked == [(2, error)]


@pytest.mark.parametrize("answer", [*NO_DELAYS, ZeroDivisionError()], ids=lambda value: repr(value)[:20])
def test_an_answer_that_is_no_delay_is_noted_and_the_backoff_counts(answer: Any) -> None:
    def rule(retry: int, error: BaseException) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    ending = ending_of(KeyError("x"), rule)
    assert 60 <= ending.delay_seconds <= 60 * (1 + JITTER_SHARE)
    assert "the backoff of the pool was used" in ending.failure.traceback
    assert ending.failure.error_code == "KeyError"


def test_a_model_with_a_backoff_of_its_own_is_asked() -> None:
    assert retry_delay(OwnBackoff(), CONFIG) == 7
    # The job's own number comes first.
    assert retry_delay(OwnBackoff(configuration={"base_retry_delay": 3}), CONFIG) == 3


@pytest.mark.parametrize("answer", [*NO_DELAYS, ZeroDivisionError()], ids=lambda value: repr(value)[:20])
def test_a_model_whose_backoff_is_no_delay_is_passed_over(answer: Any) -> None:
    job = OwnBackoff()
    job.answer = answer
    assert 60 <= delay_before_retry(job, CONFIG, KeyError("x"), None) <= 60 * (1 + JITTER_SHARE)


def test_the_pool_says_the_delay_of_a_model_without_one() -> None:
    assert retry_delay(MemoryJob(retry_count=1), WorkerPoolConfig(base_retry_delay=5)) == 10


def delay_of_pool(number: int, error: BaseException) -> float:
    """What a pool of these tests says."""
    return 100 * number + len(str(error))


POOL = WorkerPoolConfig(retry_delay=f"{__name__}.delay_of_pool")


def delay_in_pool(rule: Any = None, kind: type[MemoryJob] = MemoryJob, **fields: Any) -> float:
    job = kind(retry_count=1, **fields)
    return delay_before_retry(job, POOL, KeyError("a"), rule, rule_of_pool(POOL))


def test_a_pool_says_the_delay_where_the_job_says_nothing() -> None:
    assert delay_in_pool() == 203
    assert delay_in_pool(lambda number, error: 5) == 5
    assert delay_in_pool(kind=OwnBackoff) == pytest.approx(7, rel=JITTER_SHARE)
    assert delay_in_pool(configuration={"base_retry_delay": 1}) == pytest.approx(2, rel=JITTER_SHARE)


def test_a_runner_asks_its_pool() -> None:
    job = claimed(MemoryJobStore())
    ending = JobRunner(DelayingExecutor(KeyError("a"), None), POOL).run(context_of(job))
    assert isinstance(ending, Retried)
    assert ending.delay_seconds == 103


@pytest.mark.parametrize(
    "path",
    ["delay", "", "tests.nowhere.delay", f"{__name__}.nothing", f"{__name__}.POOL", f"{__name__}.adelay"],
)
def test_a_path_that_names_no_function_is_refused(path: str) -> None:
    with pytest.raises(InvalidSettings, match=r"retry_delay is .*Accepted: the dotted path of a function"):
        rule_of_pool(WorkerPoolConfig(retry_delay=path))


async def adelay(number: int, error: BaseException) -> float:
    return 1.0


def test_a_delay_that_is_no_path_is_refused() -> None:
    with pytest.raises(InvalidSettings, match=r"retry_delay is .*Accepted: a dotted path"):
        WorkerPoolConfig(retry_delay=delay_of_pool)
