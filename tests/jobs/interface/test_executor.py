"""What an executor runs: which of its jobs are async, which slots it needs, and which types it knows."""

from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django.jobs.interface.executor import (
    async_job_types_of,
    count_slots,
    is_async_executor,
    known_job_types,
)
from tests.jobs.recording import AsyncFunctionExecutor, FunctionExecutor, TypedExecutor

THREADS, TASKS = 4, 50
SYNC, ASYNC = {"s": print}, {"a": print}


@pytest.mark.parametrize(
    ("executor", "async_types", "known", "slots"),
    [
        (FunctionExecutor(), frozenset(), None, (THREADS, 0)),
        (AsyncFunctionExecutor(), None, None, (0, TASKS)),
        (TypedExecutor(SYNC, {}), frozenset(), frozenset("s"), (THREADS, 0)),
        (TypedExecutor({}, ASYNC), frozenset("a"), frozenset("a"), (0, TASKS)),
        (TypedExecutor(SYNC, ASYNC), frozenset("a"), frozenset("as"), (THREADS, TASKS)),
        # Without any job it has threads: what is registered later is found by a new process alone.
        (TypedExecutor({}, {}), frozenset(), frozenset(), (THREADS, 0)),
    ],
    ids=["sync", "async", "sync types", "async types", "both", "no types"],
)
def test_an_executor_has_slots_for_the_kinds_of_jobs_that_it_runs(
    executor: Any,
    async_types: frozenset[str] | None,
    known: frozenset[str] | None,
    slots: tuple[int, int],
) -> None:
    assert async_job_types_of(executor) == async_types
    assert known_job_types(executor) == known
    assert count_slots(executor, THREADS, TASKS) == slots


def test_an_executor_is_async_when_its_method_is() -> None:
    assert is_async_executor(AsyncFunctionExecutor())
    assert not is_async_executor(FunctionExecutor())
