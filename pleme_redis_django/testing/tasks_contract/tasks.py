"""The tasks that the contract enqueues; your workers have to import this module."""

from __future__ import annotations

import asyncio
from typing import Any

from pleme_redis_django.tasks_backend.api import TaskContext, task


@task
def add(left: int, right: int = 1) -> int:
    return left + right


@task
def noop(*args: Any, **kwargs: Any) -> None:
    """Take anything."""


@task
def echo(*args: Any, **kwargs: Any) -> dict[str, Any]:
    return {"args": args, "kwargs": kwargs}


@task
async def add_slowly(left: int, right: int) -> int:
    await asyncio.sleep(0)
    return left + right


@task(takes_context=True)
def describe(context: TaskContext[Any, Any], word: str) -> dict[str, Any]:
    result = context.task_result
    return {"id": result.id, "status": result.status.value, "attempt": context.attempt, "word": word}


@task(takes_context=True)
async def describe_slowly(context: TaskContext[Any, Any]) -> str:
    await asyncio.sleep(0)
    return context.task_result.id


@task
def fail(message: str = "as asked") -> None:
    raise ValueError(message)


@task
async def fail_slowly() -> None:
    await asyncio.sleep(0)
    raise LookupError("as asked")


@task
def nested() -> list[Any]:
    """Return a tuple in a list, of which JSON makes lists."""
    return [(1, 2), {"a": (3,)}]


@task
def not_json() -> object:
    """Return what no JSON can hold."""
    return object()


order: list[str] = []
"""In which order ``note`` ran, where tasks run in the process of the test."""


@task
def note(word: str) -> str:
    order.append(word)
    return word
