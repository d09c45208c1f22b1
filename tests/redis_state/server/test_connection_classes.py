"""Failovers that leave connections alive, and herds that meet a small pool."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from pleme_redis_django.redis_state.locks import LockManager
from pleme_redis_django.redis_state.presence.manager import PresenceManager
from pleme_redis_django.redis_state.pubsub.bus import bus
from pleme_redis_django.redis_state.pubsub.manager import PubSubManager
from pleme_redis_django.redis_state.pubsub.messages import BusMessage, Position
from pleme_redis_django.redis_state.server.connections import ASYNC_CONNECTIONS, close_sync_clients
from pleme_redis_django.testing.servers import RedisServer
from tests.waiting import await_until

HEADS = 1500


class Address:
    """A socket path that leads to one of two servers, as a service's address does."""

    def __init__(self, path: Path, old: RedisServer, new: RedisServer) -> None:
        self._path, self._old, self._new = path, old, new
        self._lead_to(old)
        self.url = f"unix://{path}?db=0"

    def _lead_to(self, server: RedisServer) -> None:
        self._path.unlink(missing_ok=True)
        self._path.symlink_to(server.url().removeprefix("unix://").partition("?")[0])

    def fail_over(self) -> None:
        """Lead to the new server, and make the old one its replica, which keeps its connections."""
        self._lead_to(self._new)
        with redis.Redis.from_url(self._old.url()) as client:
            client.replicaof("127.0.0.1", "1")


@pytest.fixture
def address(tmp_path: Path, settings: Any) -> Iterator[Address]:
    with RedisServer() as old, RedisServer() as new:
        address = Address(tmp_path / "redis.sock", old, new)
        settings.PLEME_REDIS = {**settings.PLEME_REDIS, "URL": address.url}
        yield address
        close_sync_clients()


def use_sync() -> None:
    with LockManager("acme").lock("x", 5):
        pass
    PubSubManager("acme").publish("order:1", {}, on_commit=False)
    PresenceManager("acme").set_online(1)


def test_sync_connections_leave_a_demoted_primary(address: Address) -> None:
    use_sync()
    address.fail_over()
    use_sync()


async def test_async_connections_and_the_bus_leave_a_demoted_primary(
    address: Address, loop_clients: None
) -> None:
    manager = PubSubManager("acme")
    async with manager.asubscribe("order:*") as events:
        await manager.apublish("order:1", {"n": 0})
        await anext(events)
        address.fail_over()
        # Each kind of connection finds out by itself; the bus hears it from them.
        async with LockManager("acme").lock("x", 5):
            pass
        await PresenceManager("acme").aset_online(1)
        await manager.apublish("order:1", {"n": 1})
        await bus()._leave_demoted()
        async with asyncio.timeout(20):
            while getattr(await anext(events), "data", None) != {"n": 2}:
                await manager.apublish("order:1", {"n": 2})


class Watcher:
    """Counts what a feed tells of reconnects and losses."""

    def __init__(self) -> None:
        self.reconnects = 0
        self.channels: list[str] = []

    def on_message(self, message: BusMessage) -> None:
        self.channels.append(message.channel)

    def on_loss(self, position: Position, reason: str) -> None:
        """Nothing is lost here."""

    def on_reconnect(self) -> None:
        self.reconnects += 1


async def test_process_with_many_heads_comes_back_from_a_cut_in_one_round(
    own_redis: RedisServer, loop_clients: None
) -> None:
    watchers = [Watcher() for _ in range(HEADS)]
    async with asyncio.timeout(60):
        await asyncio.gather(
            *(bus().follow("acme", str(number), watcher) for number, watcher in enumerate(watchers))
        )
        with redis.Redis.from_url(own_redis.url()) as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            await await_until(lambda: all(each.reconnects for each in watchers), "every head's resync")
            for number in (0, HEADS - 1):
                await PubSubManager("acme").apublish(f"{number}:x", {})
                await await_until(lambda number=number: watchers[number].channels, "the message")
            assert {each.reconnects for each in watchers} == {1}
            # The bus, the readers of logs, the publisher, this client.
            assert client.info("clients")["connected_clients"] <= ASYNC_CONNECTIONS + 4


async def test_herd_of_tasks_queues_for_few_connections(own_redis: RedisServer, loop_clients: None) -> None:
    presence = PresenceManager("acme")
    async with asyncio.timeout(60):
        await asyncio.gather(*(presence.aset_online(user) for user in range(HEADS)))
    assert await presence.acount_online() == HEADS
    with redis.Redis.from_url(own_redis.url()) as client:
        assert client.info("clients")["connected_clients"] <= ASYNC_CONNECTIONS + 1
