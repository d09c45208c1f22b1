"""Reads of several tasks of one event loop, sent as one MGET."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from pleme_redis_django.redis_state.server.loop_registry import LoopRegistry

# Past this, one MGET would hold up the server's other clients.
MOST_KEYS = 1000

Values = list[bytes | None]


class SharedReads:
    """The batch of each event loop that still takes keys."""

    def __init__(self, mget: Callable[[list[str]], Awaitable[Values]]) -> None:
        self._mget = mget
        self._batches: LoopRegistry[None, ReadBatch] = LoopRegistry()

    async def read(self, keys: list[str]) -> Values:
        """Read together with what other tasks read in this turn of the event loop: one MGET for all."""
        batch = self._batches.get(None, self._new)
        if batch.closed:
            self._batches.discard(None)
            batch = self._batches.get(None, self._new)
        return await batch.read(keys)

    def _new(self) -> ReadBatch:
        return ReadBatch(self._mget)


class ReadBatch:
    """Collects the keys that tasks ask for in one turn of the loop; ``closed`` once it is full or being sent."""

    __slots__ = ("_keys", "_mget", "_task", "_waiting", "closed")

    def __init__(self, mget: Callable[[list[str]], Awaitable[Values]]) -> None:
        self._mget = mget
        self._keys: dict[str, int] = {}  # key -> its place in the MGET
        self._waiting: list[tuple[list[str], asyncio.Future[Values]]] = []
        self._task: asyncio.Task[None] | None = None
        self.closed = False

    async def read(self, keys: list[str]) -> Values:
        """Return the values of ``keys``, in their order."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._send)
        future: asyncio.Future[Values] = loop.create_future()
        self._waiting.append((keys, future))
        for key in keys:
            self._keys.setdefault(key, len(self._keys))
        if len(self._keys) >= MOST_KEYS:
            self.closed = True
        return await future

    def _send(self) -> None:
        self.closed = True
        # The reference keeps the task from being collected before it ends.
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            values = await self._mget(list(self._keys))
        except BaseException as error:
            self._fail(error)
            if not isinstance(error, Exception):
                raise
            return
        for keys, future in self._waiting:
            if not future.done():
                future.set_result([values[self._keys[key]] for key in keys])

    def _fail(self, error: BaseException) -> None:
        for _, future in self._waiting:
            if future.done():
                continue
            if isinstance(error, asyncio.CancelledError):
                future.cancel()
            else:
                future.set_exception(error)
