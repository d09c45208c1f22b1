"""What keeps a process's connections online: each by itself, whatever happens to its neighbours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pleme_redis_django.realtime import presence_keeper
from pleme_redis_django.realtime.frames import ErrorCode
from pleme_redis_django.realtime.hub import hub
from pleme_redis_django.redis_state.presence.manager import PresenceManager
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.connections import close_sync_clients
from pleme_redis_django.redis_state.server.redis_call import redis_client, script_call
from pleme_redis_django.testing.realtime import CommandFailed, connected_client, let_time_pass
from pleme_redis_django.testing.realtime.client import open_socket
from tests.realtime.conftest import Person
from tests.redis_state.lossy_proxy import LossyProxy
from tests.waiting import await_until

Configure = Callable[..., None]


@pytest.fixture
def lossy_redis(configure: Configure, settings: Any) -> Iterator[LossyProxy]:
    with LossyProxy(settings.PLEME_REDIS["URL"]) as proxy:
        configure(URL=proxy.url)
        yield proxy
        close_sync_clients()


async def live_through_a_ttl(*products: str) -> None:
    for _ in range(2):
        for product in products:
            let_time_pass(40, product=product)
        await hub().presence.heartbeat()


def spoil(key: str) -> None:
    """Make a key such that every script that reads it fails."""
    redis_client().set(key, "not what it should be")


def metadata_in(room: str, user: int = 1) -> list[dict[str, Any]]:
    return PresenceManager("acme", room).snapshot().users[str(user)]


async def test_refused_metadata_takes_nobody_offline(ana: Person, ben: Person) -> None:
    async with connected_client(ana) as evil, connected_client(ben, tenant="other"):
        with pytest.raises(CommandFailed) as refused:
            await evil.join("room:1", meta={"x": "a" * 1100})
        assert refused.value.code == ErrorCode.BAD_REQUEST
        assert hub().connections[evil.conn].listening.rooms == {}
        assert hub().connections[evil.conn].appearance.metadata == {}
        await live_through_a_ttl("acme", "other")
        assert PresenceManager("other").is_online(2)


async def test_room_stays_as_it_was_when_other_metadata_is_refused(ana: Person) -> None:
    async with connected_client(ana) as client:
        await client.join("room:1", meta={"name": "Ana"})
        with pytest.raises(CommandFailed):
            await client.join("room:1", meta={"x": "a" * 1100})
        redis_client().flushdb()
        await hub().presence.heartbeat()
        assert metadata_in("room:1")[0]["m"] == {"name": "Ana"}


async def test_come_back_that_raises_changes_nothing_for_others(ana: Person, ben: Person) -> None:
    async with connected_client(ana) as evil, connected_client(ben, tenant="other") as victim:
        for room in ("room:1", "room:2"):
            await evil.join(room)
        await victim.join("room:1")
        redis_client().flushdb()
        spoil(keyspace.presence_keys("acme", "room:1").records)
        await hub().presence.heartbeat()
        assert PresenceManager("acme", "room:2").is_online(1)
        assert PresenceManager("other").is_online(2)
        assert PresenceManager("other", "room:1").is_online(2)
        products: Any = redis_client().zrange(keyspace.presence_products(), 0, -1)
        assert sorted(products) == [b"acme", b"other"]


async def test_heartbeat_that_fails_fails_for_one_call_of_one_product(
    ana: Person, ben: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence_keeper, "SCOPES_PER_CALL", 1)
    async with connected_client(ana) as evil, connected_client(ben, tenant="other"):
        for room in ("room:1", "room:2"):
            await evil.join(room)
        spoil(keyspace.presence_keys("acme", "room:1").connections)
        await live_through_a_ttl("acme", "other")
        assert PresenceManager("acme", "room:2").is_online(1)
        assert PresenceManager("other").is_online(2)


async def test_sweep_that_fails_fails_for_one_product(ana: Person) -> None:
    others = [f"other{number}" for number in range(8)]
    async with connected_client(ana):
        for product in ("acme", *others):
            PresenceManager(product, "room:1").set_online(99, "crashed")
            redis_client().zadd(keyspace.presence_products(), {product: 2e9})
        spoil(keyspace.presence_keys("acme", "room:1").connections)
        for product in ("acme", *others):
            let_time_pass(100, product=product)
        await hub().presence.sweep()
        for product in others:
            assert not redis_client().exists(keyspace.presence_keys(product, "room:1").connections)


async def test_room_that_is_full_at_the_come_back_is_left(ana: Person, configure: Configure) -> None:
    configure(REALTIME_LIMITS={"room_members": 1})
    async with connected_client(ana) as client:
        await client.join("room:1")
        redis_client().flushdb()
        PresenceManager("acme", "room:1").set_online(99, "other")
        await hub().presence.heartbeat()
        lost = await client.next_push("unsub")
        assert (lost["pres"], lost["code"]) == ("room:1", ErrorCode.LIMIT)
        assert hub().connections[client.conn].listening.rooms == {}
        assert not hub().heads._routes


async def test_heartbeat_does_not_bring_back_who_left(ana: Person, lossy_redis: LossyProxy) -> None:
    async with connected_client(ana) as client:
        await client.join("room:1")
        redis_client().delete(*keyspace.presence_keys("acme", "room:1"))
        lossy_redis.hold_replies()
        asked = len(lossy_redis.requests)
        heartbeat = asyncio.ensure_future(hub().presence.heartbeat())
        await await_until(lambda: len(lossy_redis.requests) > asked)
        leaving = asyncio.ensure_future(client.command("unpres", ch="room:1"))
        await await_until(lambda: not hub().connections[client.conn].listening.rooms)
        lossy_redis.let_replies_go()
        await asyncio.gather(heartbeat, leaving)
        assert PresenceManager("acme", "room:1").count_online() == 0


async def test_heartbeat_does_not_outlive_the_grace_of_who_closed(
    ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_socket(ana) as socket:
        await socket.client.connect()
        keeper = hub().presence

        class Late:
            """The heartbeat's request, overtaken by the leave of a connection that closes meanwhile."""

            def __init__(self, *call: Any) -> None:
                self.call = script_call(*call)

            async def arun(self) -> Any:
                await socket.disconnect()
                await hub().settle()
                return await self.call.arun()

        monkeypatch.setattr(presence_keeper, "script_call", Late)
        await keeper.heartbeat()
        let_time_pass(6, product="acme")
        assert not PresenceManager("acme").is_online(1)


# Idle


async def test_idle_connection_stays_idle_where_it_joins(ana: Person) -> None:
    async with connected_client(ana) as client:
        await client.join("room:1")
        await client.send("idle")
        await client.join("room:1", meta={"name": "Ana"})
        await client.join("room:2")
        await client.join("@online", meta={})
        for room in ("room:1", "room:2", "@online"):
            assert metadata_in(room)[0]["idle"] is True


async def test_idle_connection_comes_back_as_idle(ana: Person) -> None:
    async with connected_client(ana) as client:
        await client.join("room:1")
        await client.send("idle")
        await client.join("room:1")
        redis_client().flushdb()
        await hub().presence.heartbeat()
        for room in ("room:1", "@online"):
            assert metadata_in(room)[0]["idle"] is True


async def test_idle_that_met_an_outage_is_shown_in_the_end(ana: Person, lossy_redis: LossyProxy) -> None:
    async with connected_client(ana) as client:
        await client.join("room:1")
        lossy_redis.lose_replies(b"idle", b"idle")
        with pytest.raises(CommandFailed):
            await client.command("idle")
        await await_until(lambda: metadata_in("room:1")[0].get("idle"))


async def test_leave_that_fails_keeps_nobody_in_the_other_rooms(ana: Person) -> None:
    async with open_socket(ana) as socket:
        await socket.client.connect()
        for room in ("room:1", "room:2"):
            await socket.client.join(room)
        spoil(keyspace.presence_keys("acme", "room:1").users)
        await socket.disconnect()
        await hub().settle()
        let_time_pass(6, product="acme")
        assert not PresenceManager("acme", "room:2").is_online(1)


# Metadata


async def test_metadata_belongs_to_its_room(ana: Person) -> None:
    async with connected_client(ana) as client:
        await client.join("room:b", meta={"case": 7})
        await client.join("room:a")
        await client.join("room:b")
        for when in ("joined", "came back"):
            assert metadata_in("room:a")[0]["m"] == {}, when
            assert metadata_in("room:b")[0]["m"] == {"case": 7}, when
            assert metadata_in("@online")[0]["m"] == {}, when
            redis_client().flushdb()
            await hub().presence.heartbeat()
        await client.command("unpres", ch="room:b")
        await client.join("room:b")
        assert metadata_in("room:b")[0]["m"] == {}
