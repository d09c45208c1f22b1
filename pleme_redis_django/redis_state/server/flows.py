"""Flows: several requests, one after the other, which a thread runs and an event loop awaits.

A flow is a generator that yields requests and is sent their answers, so that a method and its async twin are
the same code.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Protocol, TypeVar

from pleme_redis_django.interruption import uninterrupted

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Request(Protocol[T_co]):
    """What a flow may yield: a RedisCall, or something else that can be run in a thread or awaited."""

    def run(self) -> T_co: ...

    async def arun(self) -> T_co: ...


Flow = Generator[Request[Any], Any, T]
"""Several requests, one after the other. What one of them raises is raised where it was yielded."""


@uninterrupted
def run(flow: Flow[T]) -> T:
    """Return a flow's result, running each of its requests."""
    try:
        request = next(flow)
        while True:
            try:
                answer = request.run()
            except BaseException as error:
                request = flow.throw(error)
            else:
                request = flow.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result


async def arun(flow: Flow[T]) -> T:
    try:
        request = next(flow)
        while True:
            try:
                answer = await request.arun()
            except BaseException as error:
                request = flow.throw(error)
            else:
                request = flow.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result
