"""Requests as values: the same one from a thread and from an event loop, alone and in a flow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import redis

from pleme_redis_django.exceptions import RedisUnavailable
from pleme_redis_django.redis_state.server.connections import WAITS, close_async_clients, close_sync_clients
from pleme_redis_django.redis_state.server.flows import Request
from pleme_redis_django.redis_state.server.pause import Pause
from pleme_redis_django.redis_state.server.redis_call import (
    PartialPipeline,
    RedisCall,
    RedisPipeline,
    script_call,
)
from pleme_redis_django.testing.servers import RedisServer
from tests.redis_state.conftest import blocked_clients
from tests.waiting import await_until

Send = Callable[[Request[Any]], Awaitable[Any]]


@pytest.fixture(params=["sync", "async"])
async def send(request: pytest.FixtureRequest) -> AsyncIterator[Send]:
    async def sent(call: Request[Any]) -> Any:
        return call.run() if request.param == "sync" else await call.arun()

    yield sent
    await close_async_clients()


async def test_the_reply_is_read(send: Send) -> None:
    assert await send(RedisCall(("SET", "k", "7"))) is True
    assert await send(RedisCall(("GET", "k"), read=int)) == 7


async def test_a_value_may_be_sent_again(send: Send) -> None:
    call: RedisCall[int] = RedisCall(("INCR", "k"))
    assert [await send(call), await send(call)] == [1, 2]


async def test_a_pipeline_is_read_as_a_whole(send: Send) -> None:
    commands = (("INCR", "k"), ("INCRBY", "k", 5))
    assert await send(RedisPipeline(commands, read=sum)) == 7


async def test_an_error_in_a_pipeline_is_raised_or_is_the_reply(send: Send) -> None:
    commands = (("SET", "k", "text"), ("INCR", "k"), ("GET", "k"))
    with pytest.raises(redis.ResponseError):
        await send(RedisPipeline(commands))
    first, error, last = await send(PartialPipeline(commands))
    assert (first, last) == (True, b"text")
    assert isinstance(error, redis.ResponseError)


async def test_a_script_that_the_server_lost_is_sent_whole(send: Send, raw_redis: redis.Redis) -> None:
    call = script_call("turn_take", ["k"], ["me", 60_000], read=bool)
    for _ in range(2):
        raw_redis.script_flush()
        assert await send(call) is True


async def test_a_wrong_call_is_not_an_outage(send: Send) -> None:
    await send(RedisCall(("SET", "k", "text")))
    with pytest.raises(redis.ResponseError):
        await send(RedisCall(("INCR", "k")))


async def test_after_an_outage_a_pause_keeps_callers_from_the_server(
    send: Send, own_redis: RedisServer
) -> None:
    pause = Pause(60, "not yet")
    call: RedisCall[bytes] = RedisCall(("PING",), pause=pause)
    assert await send(call)
    own_redis.kill()
    with pytest.raises(RedisUnavailable, match="Check that the server"):
        await send(call)
    own_redis.start()
    with pytest.raises(RedisUnavailable, match="not yet"):
        await send(call)
    close_sync_clients()  # as when the settings change
    assert await send(call)


async def test_a_cancellation_ends_a_blocking_call_at_once(
    loop_clients: None, raw_redis: redis.Redis
) -> None:
    task: asyncio.Task[Any] = asyncio.create_task(RedisCall(("BLPOP", "k", 30), profile=WAITS).arun())
    await await_until(lambda: blocked_clients(raw_redis) == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await await_until(lambda: blocked_clients(raw_redis) == 0)
