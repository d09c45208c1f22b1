"""The bus of an event loop: what its listeners learn, and what may not end its connection."""

from __future__ import annotations

import asyncio

import pytest
import redis

from pleme_redis_django.redis_state.pubsub.bus import bus
from pleme_redis_django.redis_state.pubsub.manager import PubSubManager
from pleme_redis_django.redis_state.pubsub.messages import BusMessage, Position
from pleme_redis_django.redis_state.server import keyspace

ORDERS = "pl:test-orders"


class Listener:
    """Keeps what a head's feed tells; raises first when it is told to."""

    def __init__(self, *, is_broken: bool = False) -> None:
        self.is_broken = is_broken
        self.channels: asyncio.Queue[str] = asyncio.Queue()

    def on_message(self, message: BusMessage) -> None:
        if self.is_broken:
            raise ValueError("a listener's own fault")
        self.channels.put_nowait(message.channel)

    def on_loss(self, position: Position, reason: str) -> None:
        self.channels.put_nowait(f"lost: {reason}")

    def on_reconnect(self) -> None:
        self.channels.put_nowait("reconnected")


async def test_confirmation_is_told_at_first_and_after_each_reconnect(
    loop_clients: None, raw_redis: redis.Redis
) -> None:
    confirmed: asyncio.Queue[str] = asyncio.Queue()
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    bus().listen(ORDERS, heard.put_nowait, on_confirmed=lambda: confirmed.put_nowait("first"))
    async with asyncio.timeout(10):
        assert await confirmed.get() == "first"
        raw_redis.publish(ORDERS, b"1")
        assert await heard.get() == b"1"

        raw_redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        assert await confirmed.get() == "first"
        raw_redis.publish(ORDERS, b"2")
        assert await heard.get() == b"2"


async def test_late_handler_of_a_confirmed_channel_is_told_at_once(loop_clients: None) -> None:
    confirmed: asyncio.Queue[str] = asyncio.Queue()
    bus().listen(ORDERS, lambda raw: None, on_confirmed=lambda: confirmed.put_nowait("first"))
    async with asyncio.timeout(10):
        await confirmed.get()
        bus().listen(ORDERS, lambda raw: None, on_confirmed=lambda: confirmed.put_nowait("second"))
        assert await confirmed.get() == "second"


async def test_handler_that_raises_does_not_end_the_connection(
    loop_clients: None, raw_redis: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    confirmations, heard = asyncio.Queue[None](), asyncio.Queue[bytes]()

    def broken(raw: bytes) -> None:
        raise TypeError("an order with an unknown field")

    def confirm() -> None:
        confirmations.put_nowait(None)
        raise TypeError("a fault in the confirmation")

    bus().listen(ORDERS, broken, on_confirmed=confirm)
    bus().listen(ORDERS, heard.put_nowait)
    async with asyncio.timeout(10):
        await confirmations.get()
        raw_redis.publish(ORDERS, b"1")
        raw_redis.publish(ORDERS, b"2")
        assert [await heard.get(), await heard.get()] == [b"1", b"2"]
    assert confirmations.empty(), "the connection was made again"
    assert "A handler of the realtime connection failed" in caplog.text


async def test_unreadable_message_and_a_broken_listener_cost_nobody_else_a_message(
    loop_clients: None, raw_redis: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    broken, sound = Listener(is_broken=True), Listener()
    async with asyncio.timeout(10):
        await bus().follow("acme", "order", broken)
        await bus().follow("acme", "order", sound)
        raw_redis.publish(keyspace.channel_bus("acme", "order"), b"\xff no message")
        await PubSubManager("acme").apublish("order:1", {})
        await PubSubManager("acme").apublish("order:2", {})
        assert [await sound.channels.get(), await sound.channels.get()] == ["order:1", "order:2"]
    assert sound.channels.empty(), "the connection was made again"
    assert "is not readable" in caplog.text
