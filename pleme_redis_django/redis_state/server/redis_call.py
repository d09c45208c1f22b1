"""RedisCall: one request to Redis as a value, which a thread runs and an event loop awaits.

A method and its async twin build the same value, and differ in ``run()`` and ``await arun()`` alone. What
is not a request, such as a subscription, takes a client.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import redis
import redis.asyncio
from redis.exceptions import NoScriptError

from pleme_redis_django.conf import SETTING_NAME, forget_on_change, get_settings
from pleme_redis_django.exceptions import RedisNotConfigured
from pleme_redis_django.interruption import uninterrupted
from pleme_redis_django.redis_state.server.cancellation import blocking
from pleme_redis_django.redis_state.server.connections import (
    COMMANDS,
    Profile,
    async_client,
    close_sync_clients,
    sync_client,
)
from pleme_redis_django.redis_state.server.outages import OUTAGES
from pleme_redis_django.redis_state.server.pause import Pause
from pleme_redis_django.redis_state.server.scripts import Argument, script, with_source
from pleme_redis_django.redis_state.server.unavailable import unavailable

T = TypeVar("T")


def redis_client(profile: Profile = COMMANDS, url: str | None = None) -> redis.Redis:
    """Return this process's sync client for ``profile`` (thread-safe, connects on first use).

    ``url`` is another server than the settings' (the cache's). Raises RedisNotConfigured when
    ``PLEME_REDIS["URL"]`` is None.
    """
    return sync_client(url or _url(), profile)


def async_redis_client(profile: Profile = COMMANDS, url: str | None = None) -> redis.asyncio.Redis:
    """Return the running event loop's client for ``profile``; connections never cross loops.

    Raises RedisNotConfigured when ``PLEME_REDIS["URL"]`` is None, RuntimeError outside a loop.
    """
    return async_client(url or _url(), profile)


def _url() -> str:
    url = get_settings().url
    if url is None:
        raise RedisNotConfigured(
            f'{SETTING_NAME}["URL"] is None, and presence, typing, pub/sub, cache and locks need Redis. '
            'Set it to a Redis URL, for instance "redis://127.0.0.1:6379/0".'
        )
    return url


forget_on_change(close_sync_clients)


def as_it_is(reply: Any) -> Any:
    """Return a reply as redis-py has it."""
    return reply


def as_texts(reply: list[bytes]) -> list[str]:
    """Return a reply of several values as texts."""
    return [value.decode() for value in reply]


class RedisCall(NamedTuple, Generic[T]):
    """One command: what is sent, what the reply means, and how long to wait for it. It sends nothing by itself.

    A tuple, because one is made for each request: a frozen dataclass takes three times as long, 0.6 us more.
    """

    command: tuple[Any, ...]
    """The words of the command, such as ``("GET", key)``."""
    read: Callable[[Any], T] = as_it_is
    profile: Profile = COMMANDS
    url: str | None = None
    """Another server than the settings'."""
    pause: Pause | None = None

    def client(self) -> redis.Redis:
        """Return the client of this process that sends it."""
        return redis_client(self.profile, self.url)

    @uninterrupted
    def run(self) -> T:
        """Return the answer; one round trip, or two if the server has lost the script.

        Raises RedisUnavailable if Redis is away; any other error reply stays a ResponseError.
        """
        if self.pause is not None:
            self.pause.check()
        client = redis_client(self.profile, self.url)
        try:
            try:
                reply = self._send(client, self.command)
            except NoScriptError:
                reply = self._send(client, with_source(self.command))
        except OUTAGES as error:
            if self.pause is not None:
                self.pause.failed(error)
            raise unavailable(error) from error
        return self.read(reply)

    async def arun(self) -> T:
        if self.pause is not None:
            self.pause.check()
        client = async_redis_client(self.profile, self.url)
        try:
            try:
                sent = self._send(client, self.command)
                # A cancellation ends a blocking command at once.
                reply = await (blocking(sent) if self.profile.blocks else sent)
            except NoScriptError:
                reply = await self._send(client, with_source(self.command))
        except OUTAGES as error:
            if self.pause is not None:
                self.pause.failed(error)
            raise unavailable(error) from error
        return self.read(reply)

    def _send(self, client: Any, command: tuple[Any, ...]) -> Any:
        """Return the reply, or, with an async client, an awaitable of it."""
        # redis-py's typed methods, such as evalsha(), only add a layer.
        return client.execute_command(*command)


class RedisPipeline(RedisCall[T]):
    """Several commands in one round trip: ``command`` is a tuple of commands, and ``read`` gets all replies."""

    __slots__ = ()
    raise_on_error = True

    def _send(self, client: Any, command: tuple[Any, ...]) -> Any:
        pipeline = client.pipeline(transaction=False)
        for each in command:
            pipeline.execute_command(*each)
        return pipeline.execute(raise_on_error=self.raise_on_error)


class PartialPipeline(RedisPipeline[T]):
    """A pipeline in which an error is the reply of its own command, even if the server has lost a script."""

    __slots__ = ()
    raise_on_error = False


def script_call(
    name: str,
    keys: Sequence[str],
    arguments: Sequence[Argument] = (),
    *,
    read: Callable[[Any], T] = as_it_is,
    profile: Profile = COMMANDS,
    url: str | None = None,
    pause: Pause | None = None,
) -> RedisCall[T]:
    """Return the call of a script of ``lua/``; its keys share a hash tag, so that it works on a Cluster."""
    command = ("EVALSHA", script(name).sha, len(keys), *keys, *arguments)
    return RedisCall(command, read, profile, url, pause)
