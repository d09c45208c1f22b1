"""Slow and silent clients."""

from __future__ import annotations

from collections.abc import Callable

from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.realtime.hub import hub
from pleme_redis_django.redis_state.pubsub.manager import PubSubManager
from pleme_redis_django.testing.realtime import (
    connected_client,
    let_time_pass,
)
from pleme_redis_django.testing.realtime.client import open_socket
from tests.realtime.conftest import Person
from tests.waiting import await_until

Configure = Callable[..., None]


async def test_slow_client_is_told_to_resync_and_delays_nobody(
    ana: Person, ben: Person, configure: Configure
) -> None:
    configure(REALTIME_LIMITS={"buffered_pushes": 10})
    manager = PubSubManager("acme")
    async with open_socket(ana) as slow, connected_client(ben) as fast:
        await slow.client.connect()
        await slow.client.subscribe("order:*")
        await slow.client.join("room:1", join=False)
        await fast.subscribe("order:*")
        slow.stall()
        for n in range(100):
            await manager.apublish("order:created", n)
            assert (await fast.next_push("pub"))["d"] == n
        connection = next(each for each in hub().connections.values() if each.user_id == "1")
        assert len(connection.outbox._queue) <= 10
        slow.resume()
        assert (await slow.client.next_push("resync"))["ch"] == "order:*"
        assert (await slow.client.next_push("resync"))["pres"] == "room:1"
        await manager.apublish("order:created", "after")
        while (await slow.client.next_push("pub"))["d"] != "after":
            pass


async def test_client_that_never_reads_is_closed(ana: Person) -> None:
    async with open_socket(ana) as socket:
        await socket.client.connect()
        await socket.client.subscribe("order:*")
        socket.stall()
        await PubSubManager("acme").apublish("order:created", 1)
        connection = next(iter(hub().connections.values()))
        await await_until(lambda: connection.outbox.blocked_since)
        let_time_pass(11, product="acme")
        await await_until(lambda: connection.outbox.close_code is CloseCode.SLOW)


async def test_silent_client_is_pinged_then_closed(ana: Person) -> None:
    async with open_socket(ana) as socket:
        await socket.client.connect()
        let_time_pass(26, product="acme")
        connection = next(iter(hub().connections.values()))
        await await_until(lambda: connection.outbox.pulse.heard_at > connection.opened_at + 20)
        socket.client.answers_pings = False
        let_time_pass(26, product="acme")
        await await_until(lambda: connection.outbox.pulse.pinged_at)
        let_time_pass(9, product="acme")
        assert await socket.client.wait_closed() == CloseCode.NO_PONG


async def test_unheard_client_gets_no_more_than_its_share(ana: Person, configure: Configure) -> None:
    configure(REALTIME_LIMITS={"unheard_characters": 10_000})
    manager = PubSubManager("acme")
    async with open_socket(ana) as socket:
        await socket.client.connect()
        await socket.client.subscribe("order:*")
        socket.client.answers_pings = False
        for _ in range(100):
            await manager.apublish("order:created", "x" * 1000)
        assert len(socket.client.pushes) < 15
        await socket.client.send_text("{}")
        await await_until(lambda: len(socket.client.pushes) == 100)
