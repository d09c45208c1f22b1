"""Cancelled async callers: work that has to finish first, and cancellations that were swallowed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Iterable
from typing import Any, TypeVar

T = TypeVar("T")

# How long a cancelled command may take to clean up before it is cancelled again.
REPEAT_SECONDS = 0.05


async def blocking(work: Awaitable[T]) -> T:
    """Await a blocking command of redis-py so that a cancellation always ends it, and at once.

    Until Python 3.12, ``asyncio.wait_for``, which redis-py sends every command through, swallows a
    cancellation that comes in the same tick as its result (python/cpython#81839): the command would
    continue to block. So it runs in a task of its own, which is cancelled until it ends.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        await end({task})
        raise
    return task.result()


async def end(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel tasks until all have ended: one that loops around commands may have swallowed a cancellation."""
    ended, pending = set(), set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        done, pending = await asyncio.wait(pending, timeout=REPEAT_SECONDS)
        ended |= done
    for task in ended:
        if not task.cancelled():
            task.exception()  # looked at, or asyncio logs it as never retrieved


class CancellationWatch:
    """Notices that the current task was cancelled since then, even if ``wait_for`` swallowed it."""

    __slots__ = ("_known", "_task")

    def __init__(self) -> None:
        self._task = asyncio.current_task()
        self._known = self._task.cancelling() if self._task else 0

    def noticed(self) -> bool:
        return self._task is not None and self._task.cancelling() > self._known


async def unbroken(work: Awaitable[T]) -> T:
    """Await ``work`` to its end even if the caller is cancelled meanwhile; the caller is cancelled afterwards."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await to_its_end(asyncio.wait({task}))
        if not task.cancelled():
            task.exception()  # looked at, or asyncio logs it as never retrieved
        raise


async def to_its_end(work: Awaitable[T]) -> T:
    """Await ``work``, however often the caller is cancelled meanwhile; it is the last thing that the caller does."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({task})
    return task.result()
