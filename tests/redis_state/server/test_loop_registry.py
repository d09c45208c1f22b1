"""What belongs to an event loop ends with it: connections, buses, hubs and the rest of what is kept per loop."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest
import redis
from asgiref.sync import async_to_sync

from pleme_redis_django import CacheManager
from pleme_redis_django.models import Job
from pleme_redis_django.realtime.dashboard_consumer import dashboard_feed
from pleme_redis_django.realtime.hub import hub
from pleme_redis_django.redis_state.locks import LockManager
from pleme_redis_django.redis_state.presence.manager import PresenceManager
from pleme_redis_django.redis_state.pubsub.bus import bus
from pleme_redis_django.redis_state.pubsub.manager import PubSubManager
from pleme_redis_django.redis_state.server.loop_registry import LoopRegistry
from tests.waiting import wait_until


def run(work: Callable[[], Any]) -> None:
    asyncio.run(work())


def wrapped(work: Callable[[], Any]) -> None:
    async_to_sync(work)()


async def use_everything() -> None:
    """Open one of each of what the package keeps per event loop."""
    await CacheManager("acme").aget("k")
    await CacheManager("acme").aget_or_set("k", lambda: 1, 60)
    async with LockManager("acme").lock("x", 5):
        pass
    await PresenceManager("acme").ais_online(1)
    async with PubSubManager("acme").asubscribe("order:*") as events:
        await PubSubManager("acme").apublish("order:1", {})
        await anext(events)
    bus().listen("pl:test", lambda raw: None)  # left open
    hub()
    dashboard_feed(Job)


def connected(client: redis.Redis) -> int:
    return int(client.info("clients")["connected_clients"])


def registries() -> list[LoopRegistry[Any, Any]]:
    # Not isinstance(), which has a lazy object of somebody else load what it stands for.
    return [each for each in gc.get_objects() if issubclass(type(each), LoopRegistry)]


@pytest.mark.parametrize("call", [run, wrapped])
def test_loops_that_end_leave_no_connection_behind(call: Callable[..., None], raw_redis: redis.Redis) -> None:
    call(use_everything)
    before = connected(raw_redis)
    for _ in range(20):
        call(use_everything)
    wait_until(lambda: connected(raw_redis) <= before, "as few connections as after the first call")


def test_three_hundred_calls_of_an_async_method_from_sync_code_share_no_loop_and_no_leak(
    raw_redis: redis.Redis,
) -> None:
    cache = CacheManager("acme")
    before = connected(raw_redis)
    for _ in range(300):
        assert async_to_sync(cache.aget)("k") is None
    wait_until(lambda: connected(raw_redis) <= before + 1, "at most one connection more")


def test_no_registry_of_the_package_keeps_a_loop_that_has_ended() -> None:
    before = {id(each): len(each) for each in registries()}
    for _ in range(5):
        asyncio.run(use_everything())
    assert {len(each) - before.get(id(each), 0) for each in registries()} == {0}


def test_loop_that_was_only_closed_is_let_go_by_the_next_one() -> None:
    registry: LoopRegistry[str, object] = LoopRegistry()

    async def use() -> None:
        registry.get("thing", object)

    for _ in range(5):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(use())
        loop.close()
    assert len(registry) == 1


async def test_what_was_closed_early_is_made_anew() -> None:
    closed: list[list[int]] = []

    async def close(thing: list[int]) -> None:
        closed.append(thing)

    registry: LoopRegistry[str, list[int]] = LoopRegistry(close=close)
    first = registry.get("thing", lambda: [1])
    assert registry.get("thing", lambda: [2]) is first
    await registry.aclose()
    assert closed == [[1]]
    assert registry.get("thing", lambda: [2]) == [2]
