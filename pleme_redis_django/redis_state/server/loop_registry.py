"""LoopRegistry: what belongs to one event loop, and ends with it.

Connections, streams and tasks refer to their loop, so that weak keys would stay: each ``async_to_sync`` call and
each ``asyncio.run`` would leave its sockets open for ever. A loop closes its asynchronous generators before it ends
(``loop.shutdown_asyncgens``, which ``asyncio.run`` and every server call), and one of them here closes what the loop
has.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K")
T = TypeVar("T")


class _Loop(NamedTuple, Generic[K, T]):
    things: dict[K, T]
    end: AsyncGenerator[None, None]


class LoopRegistry(Generic[K, T]):
    """Objects by key, for each event loop its own; ``close`` is awaited for each of them when its loop ends."""

    def __init__(self, close: Callable[[T], Awaitable[object]] | None = None) -> None:
        self._close = close
        self._loops: dict[asyncio.AbstractEventLoop, _Loop[K, T]] = {}

    def get(self, key: K, make: Callable[[], T]) -> T:
        """Return the running loop's object for ``key``, made on first use. Raises RuntimeError outside a loop."""
        loop = asyncio.get_running_loop()
        known = self._loops.get(loop)
        things = (known or self._open(loop)).things
        if key not in things:
            things[key] = make()
        return things[key]

    def discard(self, key: K) -> None:
        """Forget the running loop's object for ``key``, without closing it."""
        known = self._loops.get(asyncio.get_running_loop())
        if known is not None:
            known.things.pop(key, None)

    async def aclose(self) -> None:
        """Close what the running loop has; the next ``get`` makes a new one."""
        known = self._loops.get(asyncio.get_running_loop())
        if known is not None:
            await known.end.aclose()

    def __len__(self) -> int:
        """Return how many loops have something here."""
        return len(self._loops)

    def _open(self, loop: asyncio.AbstractEventLoop) -> _Loop[K, T]:
        # A loop that was closed by loop.close() alone is at least forgotten.
        for each in list(self._loops):
            if each.is_closed():
                self._loops.pop(each, None)
        known = self._loops[loop] = _Loop[K, T](things={}, end=self._until_the_end_of(loop))
        # The first step, which registers the generator with its loop, waits for nothing.
        with suppress(StopIteration):
            known.end.asend(None).send(None)
        return known

    async def _until_the_end_of(self, loop: asyncio.AbstractEventLoop) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            known = self._loops.pop(loop, None)
            if known is not None and self._close is not None:
                for thing in known.things.values():
                    await self._close(thing)
