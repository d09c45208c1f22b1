"""Heads: one is followed from its first use to its last, also when following it fails."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pleme_redis_django.realtime.heads import Heads
from pleme_redis_django.realtime.listening import Listening


class Bus:
    """Counts what is followed; the test says when, and whether, that succeeds."""

    def __init__(self) -> None:
        self.followed: list[str] = []
        self.log: list[str] = []
        self.error: Exception | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.asked = asyncio.Event()

    async def follow(self, product: str, head: str, _listener: Any) -> Any:
        self.log.append(f"follow {product} {head}")
        self.asked.set()
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        self.followed.append(head)
        return head

    async def unfollow(self, feed: Any, _listener: Any) -> None:
        self.log.append(f"unfollow {feed}")
        self.followed.remove(feed)


class Socket:
    """What heads need to know of a connection."""

    def __init__(self, product: str = "acme") -> None:
        self.id = "c1"
        self.product = product
        self.outbox = self
        self.listening = Listening()

    def push(self, _text: str) -> None:
        """Nobody reads it."""


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def heads(bus: Bus) -> Heads:
    return Heads(bus)


async def test_a_head_is_followed_once_and_until_its_last_use(heads: Heads, bus: Bus) -> None:
    routes = await heads.hold("acme", "order")
    assert await heads.hold("acme", "order") is routes
    assert bus.log == ["follow acme order"]
    await heads.release("acme", "order")
    assert bus.followed == ["order"]
    await heads.release("acme", "order")
    assert bus.followed == []
    assert await heads.hold("acme", "order") is not routes


async def test_products_do_not_share_a_head(heads: Heads, bus: Bus) -> None:
    assert await heads.hold("acme", "order") is not await heads.hold("globex", "order")
    assert bus.log == ["follow acme order", "follow globex order"]


async def test_who_comes_while_it_begins_waits_for_the_same(heads: Heads, bus: Bus) -> None:
    bus.may_answer.clear()
    both = [asyncio.ensure_future(heads.hold("acme", "order")) for _ in range(2)]
    await bus.asked.wait()
    bus.may_answer.set()
    one, other = await asyncio.gather(*both)
    assert one is other
    assert bus.log == ["follow acme order"]


async def test_one_that_cannot_be_followed_leaves_nothing_behind(heads: Heads, bus: Bus) -> None:
    bus.error = ConnectionError("away")
    with pytest.raises(ConnectionError):
        await heads.hold("acme", "order")
    assert bus.log == ["follow acme order"]
    bus.error = None
    await heads.hold("acme", "order")
    await heads.release("acme", "order")
    assert bus.followed == []


async def test_a_caller_that_is_cancelled_while_it_begins_is_not_counted(heads: Heads, bus: Bus) -> None:
    bus.may_answer.clear()
    gone = asyncio.ensure_future(heads.hold("acme", "order"))
    await bus.asked.wait()
    gone.cancel()
    await asyncio.wait({gone})
    bus.may_answer.set()
    await heads.hold("acme", "order")
    await heads.release("acme", "order")
    assert bus.followed == []


async def test_a_room_is_watched_once_and_a_join_is_never_undone_by_a_look(heads: Heads, bus: Bus) -> None:
    socket: Any = Socket()
    await heads.watch(socket, "room:1", joins=False)
    await heads.watch(socket, "room:1", joins=True)
    await heads.watch(socket, "room:1", joins=False)
    assert socket.listening.rooms == {"room:1": True}
    assert len(bus.followed) == 1
    await heads.unwatch(socket, "room:1")
    await heads.unwatch(socket, "room:1")
    assert (socket.listening.rooms, bus.followed) == ({}, [])


async def test_what_was_not_subscribed_to_ends_nothing(heads: Heads, bus: Bus) -> None:
    socket: Any = Socket()
    await heads.hold("acme", "order")
    await heads.unsubscribe(socket, "order:*")
    assert len(bus.followed) == 1
