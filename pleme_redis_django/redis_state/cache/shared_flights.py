"""Requests that tasks of one event loop make at the same time, made once: a whole herd needs one connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from pleme_redis_django.redis_state.server.loop_registry import LoopRegistry

T = TypeVar("T")


class SharedFlights(Generic[T]):
    """The requests in progress, by what they ask for; one set for each event loop."""

    def __init__(self) -> None:
        self._by_loop: LoopRegistry[None, dict[Hashable, asyncio.Task[T]]] = LoopRegistry()

    def join(self, what: Hashable) -> asyncio.Task[T] | None:
        """Return the request for ``what`` that is in progress; shield it, because others may await it too."""
        return self._here().get(what)

    def start(self, what: Hashable, request: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """Start a request that others may join until it ends."""
        flights = self._here()
        flight = flights[what] = asyncio.get_running_loop().create_task(request())
        # Runs before those who joined go on, so that none of them joins it again.
        flight.add_done_callback(lambda _flight: flights.pop(what, None))
        return flight

    def _here(self) -> dict[Hashable, asyncio.Task[T]]:
        return self._by_loop.get(None, dict)
