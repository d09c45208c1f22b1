"""Enqueues in their middleware: the chain that each request goes through before it becomes a row."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async

from pleme_redis_django.conf import SETTING_NAME, forget_on_change
from pleme_redis_django.exceptions import BrokenMiddleware
from pleme_redis_django.middleware.chain import Link, composed
from pleme_redis_django.middleware.loading import loaded_middleware
from pleme_redis_django.middleware.request import EnqueueRequest


def passed_through(request: EnqueueRequest) -> EnqueueRequest:
    """Return the request as the middleware has it stored. What middleware raises is the caller's.

    Raises BrokenMiddleware for one that does not pass the request on, or returns something else.
    """
    chain = _chain()
    result = request if chain is None else chain(request)
    if not isinstance(result, EnqueueRequest):
        raise BrokenMiddleware(
            f"The enqueue of {request.job_type} came out of its middleware as {result!r:.60}. Each enqueue() has to "
            "return what call_next(request) returns, or another EnqueueRequest."
        )
    sealed = result.sealed
    if sealed is not None and sealed.parameters != result.parameters:
        raise BrokenMiddleware(
            f"The parameters of {request.job_type} were changed after they were encrypted. Put what encrypts "
            f'first in {SETTING_NAME}["MIDDLEWARE"].'
        )
    return result


def surround_enqueues() -> bool:
    """Whether any middleware has an ``enqueue()``. Raises InvalidSettings for one that is refused."""
    return _chain() is not None


@cache
def _chain() -> Callable[[EnqueueRequest], Any] | None:
    links = [_as_sync(one.enqueue) for one in loaded_middleware() if one.enqueue is not None]
    return composed(links, _unchanged, EnqueueRequest) if links else None


def _unchanged(request: EnqueueRequest) -> EnqueueRequest:
    return request


def _as_sync(link: Link) -> Link:
    """Return the link as one that sync code calls: an enqueue runs in a thread, that of async code too."""
    if not iscoroutinefunction(link.method):
        return link
    method = async_to_sync(link.method)

    def enqueue(call_next: Callable[[Any], Any], request: EnqueueRequest) -> Any:
        # What is behind it may query: back in the caller's thread, where its transaction is.
        result = method(sync_to_async(call_next), request)
        if inspect.iscoroutine(result):
            result.close()  # It was not awaited; the chain says so.
        return result

    return Link(link.place, enqueue)


forget_on_change(_chain.cache_clear)
