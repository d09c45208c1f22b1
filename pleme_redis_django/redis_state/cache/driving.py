"""Runs the steps of an operation on a store: by calling its methods, or by awaiting their twins."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from asgiref.sync import sync_to_async

from pleme_redis_django.redis_state.cache.operations import Steps
from pleme_redis_django.redis_state.cancellation import unbroken

T = TypeVar("T")


def run(steps: Steps[T], store: Any) -> T:
    """Return an operation's result, with the store's sync methods."""
    try:
        name, *arguments = next(steps)
        while True:
            try:
                reply = _build(*arguments) if name == "build" else getattr(store, name)(*arguments)
            except BaseException as error:
                name, *arguments = steps.throw(error)
            else:
                name, *arguments = steps.send(reply)
    except StopIteration as end:
        result: T = end.value
        return result


async def arun(steps: Steps[T], store: Any) -> T:
    """Return an operation's result, with the store's async methods."""
    try:
        name, *arguments = next(steps)
        while True:
            try:
                if name == "build":
                    reply = await _abuild(*arguments)
                elif name == "close":
                    # Cut short, it would leave the lease, and nobody could build until that runs out.
                    reply = await unbroken(store.aclose(*arguments))
                else:
                    reply = await getattr(store, f"a{name}")(*arguments)
            except BaseException as error:
                name, *arguments = steps.throw(error)
            else:
                name, *arguments = steps.send(reply)
    except StopIteration as end:
        result: T = end.value
        return result


def _build(builder: Callable[[], Any]) -> Any:
    value = builder()
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()
        raise TypeError("The builder returned an awaitable. Use the async method (aget_or_set) for it.")
    return value


async def _abuild(builder: Callable[[], Any]) -> Any:
    """Await a coroutine function; call anything else in a thread, where it may use the ORM."""
    value = builder() if inspect.iscoroutinefunction(builder) else await sync_to_async(builder)()
    return await value if inspect.isawaitable(value) else value
