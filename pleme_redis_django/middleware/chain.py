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
        call = _SyncLink(link, call, kind)
    return call


def acomposed(
    links: Sequence[Link], innermost: Callable[[Any], Awaitable[Any]], kind: type
) -> Callable[[Any], Awaitable[Any]]:
    """Do what ``composed`` does, with coroutine functions."""
    call = innermost
    for link in reversed(links):
        call = _AsyncLink(link, call, kind)
    return call


class _SyncLink:
    __slots__ = ("following", "kind", "link")

    def __init__(self, link: Link, following: Callable[[Any], Any], kind: type) -> None:
        self.link = link
        self.following = following
        self.kind = kind

    def __call__(self, value: Any) -> Any:
        call_next = _CallNext(self)
        result = self.link.method(call_next, value)
        if not call_next.is_called:
            raise _not_called(self.link, "call_next(...)")
        return result


class _CallNext:
    """What a sync method gets as ``call_next``."""

    __slots__ = ("_link", "is_called")

    def __init__(self, link: _SyncLink) -> None:
        self._link = link
        self.is_called = False

    def __call__(self, value: Any) -> Any:
        link = self._link
        if self.is_called or not isinstance(value, link.kind):
            raise _wrong_call(link.link, value, link.kind, again=self.is_called)
        self.is_called = True
        return link.following(value)


class _AsyncLink:
    __slots__ = ("following", "kind", "link")

    def __init__(self, link: Link, following: Callable[[Any], Awaitable[Any]], kind: type) -> None:
        self.link = link
        self.following = following
        self.kind = kind

    async def __call__(self, value: Any) -> Any:
        call_next = _AsyncCallNext(self)
        result = await self.link.method(call_next, value)
        if not call_next.is_called:
            if inspect.iscoroutine(result):
                result.close()
            raise _not_called(self.link, "await call_next(...)")
        return result


class _AsyncCallNext:
    """What an async method gets as ``call_next``; one that is not awaited has not been called."""

    __slots__ = ("_link", "is_called")

    def __init__(self, link: _AsyncLink) -> None:
        self._link = link
        self.is_called = False

    async def __call__(self, value: Any) -> Any:
        link = self._link
        if self.is_called or not isinstance(value, link.kind):
            raise _wrong_call(link.link, value, link.kind, again=self.is_called)
        self.is_called = True
        return await link.following(value)


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
