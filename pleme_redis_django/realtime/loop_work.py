"""LoopWork: what runs beside the sockets of an event loop, and their clock.

Frames are sent at the end of the loop's current turn, tasks run on their own, and the next tick comes within half
a second.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any, Protocol

from pleme_redis_django.exceptions import PlemeError
from pleme_redis_django.realtime.allowance import Clock

logger = logging.getLogger("pleme_redis_django.hub")


class Flushable(Protocol):
    """Something that sends what waits in it when it is asked to."""

    def flush(self) -> None: ...


class LoopWork:
    """One for each hub; for its loop's thread alone."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self.clock = clock
        self._dirty: list[Flushable] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._tick = asyncio.Event()

    def flush_soon(self, outbox: Flushable) -> None:
        """Send what waits in an outbox once this turn of the loop is over."""
        if not self._dirty:
            asyncio.get_running_loop().call_soon(self._flush)
        self._dirty.append(outbox)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for outbox in dirty:
            outbox.flush()

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run something beside the sockets."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            if isinstance(error, PlemeError):
                logger.warning("%s", error)
            else:
                logger.error("A task of the hub failed.", exc_info=error)

    async def settle(self) -> None:
        """Wait for what runs beside the sockets."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
            # Since Python 3.12, gathering finished tasks does not yield, and the callbacks that remove them
            # from the set would never run.
            await asyncio.sleep(0)

    async def next_tick(self) -> None:
        """Return within half a second."""
        await self._tick.wait()

    def tick(self) -> None:
        """Wake everybody who waits for the next tick."""
        self._tick.set()
        self._tick = asyncio.Event()
