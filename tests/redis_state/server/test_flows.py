"""Flows: the same one from a thread and from an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import redis

from pleme_redis_django.redis_state.server.connections import close_async_clients
from pleme_redis_django.redis_state.server.flows import Flow, arun, run
from pleme_redis_django.redis_state.server.redis_call import RedisCall

RunFlow = Callable[[Flow[Any]], Awaitable[Any]]


@pytest.fixture(params=["sync", "async"])
async def run_flow(request: pytest.FixtureRequest) -> AsyncIterator[RunFlow]:
    async def ran(flow: Flow[Any]) -> Any:
        return run(flow) if request.param == "sync" else await arun(flow)

    yield ran
    await close_async_clients()


async def test_a_flow_is_sent_the_answers_and_the_errors(run_flow: RunFlow) -> None:
    def flow() -> Flow[list[Any]]:
        found = [(yield RedisCall(("INCR", "k")))]
        try:
            yield RedisCall(("LPUSH", "k", "x"))
        except redis.ResponseError as error:
            found.append(str(error).partition(" ")[0])
        found.append((yield RedisCall(("INCR", "k"))))
        return found

    assert await run_flow(flow()) == [1, "WRONGTYPE", 2]


async def test_what_a_flow_does_not_catch_is_raised_to_its_caller(run_flow: RunFlow) -> None:
    def flow() -> Flow[None]:
        yield RedisCall(("NOSUCHCOMMAND",))

    with pytest.raises(redis.ResponseError):
        await run_flow(flow())
