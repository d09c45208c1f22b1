"""Chains: middleware composed once, each link calling on to the next, at most once and at least once."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from pleme_redis_django.exceptions import BrokenMiddleware


class Link(NamedTuple):
    """One method of one middleware."""

    place: str
    """Its dotted path, as a message says it."""
    method: Callable[..., Any]


def composed(links: Sequence[Link], innermost: Callable[[Any], Any], kind: type) -> Callable[[Any], Any]:
    """Return the links around ``innermost``, the first outermost; what they pass on is a ``kind``."""
    call = innermost
    for link in reversed(links):
        call = _linked(link, call, kind)
    return call


def acomposed(
    links: Sequence[Link], innermost: Callable[[Any], Awaitable[Any]], kind: type
) -> Callable[[Any], Awaitable[Any]]:
    """Return the same as ``composed``, of coroutine functions."""
    call = innermost
    for link in reversed(links):
        call = _alinked(link, call, kind)
    return call


# Closures: they run once for each job and middleware, and objects with __call__ cost twice as much.


def _linked(link: Link, following: Callable[[Any], Any], kind: type) -> Callable[[Any], Any]:
    method = link.method

    def run(value: Any) -> Any:
        is_called = False

        def call_next(passed: Any) -> Any:
            nonlocal is_called
            if is_called or not isinstance(passed, kind):
                raise _wrong_call(link, passed, kind, again=is_called)
            is_called = True
            return following(passed)

        result = method(call_next, value)
        if not is_called:
            raise _not_called(link, "call_next(...)")
        return result

    return run


def _alinked(
    link: Link, following: Callable[[Any], Awaitable[Any]], kind: type
) -> Callable[[Any], Awaitable[Any]]:
    method = link.method

    async def run(value: Any) -> Any:
        is_called = False

        # One that is not awaited has not been called.
        async def call_next(passed: Any) -> Any:
            nonlocal is_called
            if is_called or not isinstance(passed, kind):
                raise _wrong_call(link, passed, kind, again=is_called)
            is_called = True
            return await following(passed)

        result = await method(call_next, value)
        if not is_called:
            if inspect.iscoroutine(result):
                result.close()
            raise _not_called(link, "await call_next(...)")
        return result

    return run


def _not_called(link: Link, call: str) -> BrokenMiddleware:
    return BrokenMiddleware(
        f"{link.place}() returned without {call}, so that nothing behind it has run. Return what that returns, or "
        "raise: Discard drops a job, and what an enqueue raises is its caller's."
    )


def _wrong_call(link: Link, value: object, kind: type, *, again: bool) -> BrokenMiddleware:
    if again:
        return BrokenMiddleware(
            f"{link.place}() called call_next a second time. Accepted: once; to have the job tried again, raise."
        )
    return BrokenMiddleware(
        f"{link.place}() called call_next with a {type(value).__name__}. Accepted: the {kind.__name__} that it was "
        "given, or one made from it."
    )
