"""redis-py's connections and pools, as this package needs them.

A connection judges every error reply (``outages.judged``), and works without the right to name itself. An
asynchronous pool is small, and callers queue: a thousand tasks must not open a thousand sockets, nor treat the
pool's limit as an outage.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import cache
from typing import Any

import redis.asyncio.connection
import redis.connection
from redis.exceptions import MaxConnectionsError, ResponseError

from pleme_redis_django.redis_state.server.outages import NotPrimary, judged

_demotions_seen = 0


def demotions_seen() -> int:
    """Return how often a server has told this process that it is not a primary, as after a failover."""
    return _demotions_seen


def _raised(error: ResponseError) -> Exception:
    """Return the exception for an error reply."""
    global _demotions_seen
    judgement = judged(error)
    if isinstance(judgement, NotPrimary):
        _demotions_seen += 1
    return judgement


@cache
def judging_connection(connection_class: Any) -> Any:
    """Return a subclass of one of redis-py's synchronous connections."""

    class JudgingConnection(connection_class):  # type: ignore[misc]  # the class of the settings
        def read_response(self, *args: Any, **options: Any) -> Any:
            try:
                return super().read_response(*args, **options)
            except ResponseError as error:
                raise _raised(error) from None

        def on_connect_check_health(self, check_health: bool = True) -> None:
            this: Any = self
            name, this.client_name = this.client_name, None
            try:
                super().on_connect_check_health(check_health=check_health)
            finally:
                this.client_name = name
            with suppress(ResponseError):
                # For CLIENT LIST only; up to 6.2 it takes a right that no application needs.
                self.send_command("CLIENT", "SETNAME", name, check_health=False)
                self.read_response()

    return JudgingConnection


@cache
def async_judging_connection(connection_class: Any) -> Any:
    """Return a subclass of one of redis-py's asynchronous connections."""

    class AsyncJudgingConnection(connection_class):  # type: ignore[misc]  # the class of the settings
        async def read_response(self, *args: Any, **options: Any) -> Any:
            try:
                return await super().read_response(*args, **options)
            except ResponseError as error:
                raise _raised(error) from None

        async def on_connect_check_health(self, check_health: bool = True) -> None:
            this: Any = self
            name, this.client_name = this.client_name, None
            try:
                await super().on_connect_check_health(check_health=check_health)
            finally:
                this.client_name = name
            with suppress(ResponseError):
                await self.send_command("CLIENT", "SETNAME", name, check_health=False)
                await self.read_response()

    return AsyncJudgingConnection


class QueueingPool(redis.asyncio.connection.ConnectionPool):
    """Callers wait for one of few connections; after ``timeout`` they get MaxConnectionsError.

    While there are enough, a caller needs no timer and no condition, unlike with redis-py's
    BlockingConnectionPool.
    """

    def __init__(self, *, timeout: float, **options: Any) -> None:
        super().__init__(**options)
        self.timeout = timeout
        self._places = asyncio.Semaphore(self.max_connections)

    async def get_connection(self, *_args: Any, **_options: Any) -> Any:
        if self._places.locked():
            await self._queue()
        else:
            await self._places.acquire()  # does not wait
        try:
            connection = self.get_available_connection()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        except BaseException:
            self._places.release()
            raise
        try:
            await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def release(self, connection: Any) -> None:
        try:
            await super().release(connection)
        finally:
            self._places.release()

    async def _queue(self) -> None:
        try:
            async with asyncio.timeout(self.timeout):
                await self._places.acquire()
        except TimeoutError as error:
            raise MaxConnectionsError(
                f"None of {self.max_connections} connections became free within {self.timeout} s."
            ) from error
