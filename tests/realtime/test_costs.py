"""Commands that cost others more than their sender: paid by effect, and bounded."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from pleme_redis_django import realtime
from pleme_redis_django.realtime.frames import ErrorCode
from pleme_redis_django.realtime.hub import hub
from pleme_redis_django.redis_state.presence.manager import PresenceManager
from pleme_redis_django.redis_state.pubsub.manager import PubSubManager
from pleme_redis_django.testing.realtime import CommandFailed, connected_client, let_time_pass
from pleme_redis_django.testing.realtime.client import RealtimeClient
from tests.realtime.conftest import Person
from tests.round_trips import count_round_trips
from tests.waiting import await_until

Configure = Callable[..., None]


async def count_until_refused(client: RealtimeClient, name: str, fields: list[dict[str, object]]) -> int:
    """Return how many commands ran before one was refused for its rate."""
    for number, each in enumerate(fields):
        try:
            await client.command(name, **each)
        except CommandFailed as error:
            assert error.code == ErrorCode.RATE
            return number
    return len(fields)


async def test_history_is_paid_by_what_was_read(ana: Person) -> None:
    manager = PubSubManager("acme")
    for _ in range(30):
        await manager.apublish("room:other", "x" * 60_000)
    async with connected_client(ana) as client:
        assert await count_until_refused(client, "history", [{"ch": "room:nothing"}] * 30) <= 2


async def test_history_is_at_most_a_hundred(ana: Person) -> None:
    manager = PubSubManager("acme")
    for number in range(120):
        await manager.apublish("order:created", number)
    async with connected_client(ana) as client:
        start = (await client.command("history", ch="order:*", limit=1))["pubs"][0]["pos"]
        page = await client.command("history", ch="order:*", since=[start[0], 0], limit=1000)
        assert (len(page["pubs"]), page["more"]) == (100, True)
        rest = await client.command("history", ch="order:*", since=page["pos"], limit=1000)
        assert (len(rest["pubs"]), rest["more"]) == (20, False)


async def test_typing_on_and_off_is_paid_by_what_others_see(ana: Person) -> None:
    async with connected_client(ana) as client:
        toggles: list[dict[str, object]] = [{"ch": "conv:7", "on": n % 2 == 0} for n in range(60)]
        assert await count_until_refused(client, "typing", toggles) < 20


async def test_typing_on_and_on_stays_cheap(ana: Person) -> None:
    async with connected_client(ana) as client:
        assert await count_until_refused(client, "typing", [{"ch": "conv:7", "on": True}] * 40) == 40


async def test_changing_metadata_is_paid_by_what_others_see(ana: Person) -> None:
    async with connected_client(ana) as client:
        updates: list[dict[str, object]] = [{"ch": "room:1", "meta": {"n": n}} for n in range(60)]
        assert await count_until_refused(client, "pres", updates) < 15


async def test_idle_and_active_are_shown_once_a_second(ana: Person) -> None:
    async with connected_client(ana) as client:
        (connection,) = hub().connections.values()
        await client.join("room:1")
        for _ in range(10):
            await client.command("idle")
            await client.command("active")
        with count_round_trips() as calls:
            for _ in range(4):
                await client.command("active")
                await client.command("idle")
        assert calls.of("evalsha") <= 4
        # What was said last is shown in the end.
        await await_until(lambda: connection.appearance.is_idle)
        users = PresenceManager("acme", "room:1").snapshot().users
        assert users["1"][0]["idle"] is True


@pytest.mark.parametrize(
    ("first", "second"),
    [(("1", "order:a", "k"), ("1", "order:b", "k")), (("a", "order:a", "b:k"), ("a:b", "order:a", "k"))],
)
async def test_idempotency_keys_are_of_a_user_and_a_channel(
    first: tuple[str, str, str], second: tuple[str, str, str]
) -> None:
    positions = []
    for user, channel, key in (first, second, second):
        async with connected_client(Person(user)) as client:
            positions.append((await client.publish(channel, 1, key=key))["pos"])
    assert positions[0] != positions[1] == positions[2]


async def test_long_user_ids_have_long_idempotency_keys() -> None:
    async with connected_client(Person("u" * 128)) as client:
        await client.publish("order:a", 1, key="k" * 100)


async def test_debt_is_bounded(ana: Person) -> None:
    async with connected_client(ana) as client:
        (connection,) = hub().connections.values()
        hub().quotas.charge(connection, 1_000_000)
        let_time_pass(3, product="acme")
        await asyncio.wait_for(client.subscribe("order:*"), 5)


async def test_silent_socket_keeps_little(ana: Person) -> None:
    own = tracemalloc.Filter(inclusive=True, filename_pattern=f"{realtime.__path__[0]}/*")

    def taken() -> int:
        gc.collect()
        statistics = tracemalloc.take_snapshot().filter_traces([own]).statistics("filename")
        return sum(each.size for each in statistics)

    async with AsyncExitStack() as sockets:
        await sockets.enter_async_context(connected_client(ana))
        tracemalloc.start()
        try:
            before = taken()
            for _ in range(15):
                await sockets.enter_async_context(connected_client(ana))
            assert (taken() - before) / 15 < 2500
        finally:
            tracemalloc.stop()
