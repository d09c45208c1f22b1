"""Cancelled tasks end, also where ``asyncio.wait_for`` swallows the first cancellation (Python 3.11)."""

from __future__ import annotations

import asyncio

import pytest

from pleme_redis_django.redis_state.pubsub.bus import bus, close_bus
from pleme_redis_django.redis_state.pubsub.manager import PubSubManager
from pleme_redis_django.redis_state.server.cancellation import end
from pleme_redis_django.redis_state.server.connections import close_async_clients

MOMENTS = range(60)
"""How many turns of the loop a subscription is given before it is cancelled: all of its commands lie within."""


async def swallow_cancellations(count: int) -> None:
    for _ in range(count):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue
    await asyncio.Event().wait()


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_a_task_is_cancelled_until_it_ends(count: int) -> None:
    tasks = [asyncio.create_task(swallow_cancellations(each)) for each in (0, count)]
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await end(tasks)
    assert all(task.cancelled() for task in tasks)


async def test_what_a_cancelled_task_raises_is_looked_at() -> None:
    async def fail() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("of the cleanup")

    task = asyncio.create_task(fail())
    await asyncio.sleep(0)
    await end([task])
    assert isinstance(task.exception(), ValueError)


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_subscription_may_be_cancelled_at_any_moment(moment: int) -> None:
    async def listen() -> None:
        async with PubSubManager("acme").asubscribe("order:*") as events:
            async for _ in events:
                pass

    task = asyncio.create_task(listen())
    for _ in range(moment):
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        assert not bus()._feeds
        await close_bus()
    await close_async_clients()
