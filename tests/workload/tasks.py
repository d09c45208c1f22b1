"""Tasks of django.tasks that do something a test can see; workers learn those of the contract from here too."""

from __future__ import annotations

import time
from typing import Any

from pleme_redis_django import Discard, ProviderError, Snooze, current_job_context
from pleme_redis_django.tasks_backend import job_options
from pleme_redis_django.tasks_backend.api import TaskContext, task
from pleme_redis_django.testing.tasks_contract import tasks as contract_tasks

__all__ = ["contract_tasks"]


@task
def add(left: int, right: int = 1) -> int:
    return left + right


def declared_by_tests(word: str = "") -> str:
    """Become a task in the tests that need one of their own."""
    return word


@task(takes_context=True)
def count_attempts(context: TaskContext[Any, Any]) -> list[int]:
    """Return how many attempts the running one makes."""
    return [context.attempt, context.task_result.attempts]


@task
def moved_away(left: int, right: int = 1) -> int:
    """Run, at the path that waiting rows have, what is elsewhere now."""
    return contract_tasks.add.func(left, right)


@task
def noop() -> None:
    """Do nothing, as fast as possible."""


RETURNED: Any = None


@task
def return_what_is_set() -> Any:
    """Return what a test has set in this process."""
    return RETURNED


@task
def measure_delay(sent_at: float) -> float:
    """Return the seconds since ``sent_at`` (``time.time()`` of the enqueuer, on the same machine)."""
    return time.time() - sent_at


def _flaky(context: TaskContext[Any, Any], good_from: int) -> int:
    if context.attempt < good_from:
        raise ProviderError(f"attempt {context.attempt} failed")
    return context.attempt


flaky = job_options(task(takes_context=True)(_flaky), max_retries=2, base_retry_delay=0)
"""Under a name that is not the function's: what is stored is the path of the function."""


@task
def only_once(word: str) -> str:
    return word


only_once = job_options(only_once, unique="while_waiting", metadata={"team": "mail"})


@task
def give_up() -> None:
    """End as pointless."""
    raise Discard("nothing to do")


@task
def put_off() -> None:
    """Be put off at the first attempt."""
    context = current_job_context()
    assert context is not None
    if context.attempt == 1:
        raise Snooze(0.0)


@task
def takes_ctx(ctx: str) -> str:
    return ctx


@task
def places(first: int, /, second: int, *rest: int, word: str = "", **more: int) -> list[Any]:
    """Return the arguments as they came."""
    return [first, second, list(rest), word, more]


@task
def product_of_this_job() -> str:
    context = current_job_context()
    assert context is not None
    add.enqueue(1)
    return str(context.product)
