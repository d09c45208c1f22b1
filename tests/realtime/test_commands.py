"""What each command of a client does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from pleme_redis_django.realtime.frames import ErrorCode
from pleme_redis_django.realtime.hub import hub
from pleme_redis_django.redis_state.presence.manager import PresenceManager
from pleme_redis_django.redis_state.presence.typing_indicators import TypingManager
from pleme_redis_django.redis_state.pubsub.manager import PubSubManager
from pleme_redis_django.redis_state.server.redis_call import redis_client
from pleme_redis_django.testing.realtime import (
    CommandFailed,
    SocketClosed,
    connected_client,
    cut_redis_connections,
    let_time_pass,
)
from pleme_redis_django.testing.realtime.client import open_socket
from tests.realtime.conftest import Person, refused
from tests.round_trips import count_round_trips

Configure = Callable[..., None]


async def test_events_reach_who_subscribed(ana: Person, ben: Person) -> None:
    async with connected_client(ana) as one, connected_client(ben) as other:
        position = (await one.subscribe("order:*"))["pos"]
        await other.subscribe("room:*")
        published = PubSubManager("acme").publish("order:created", {"id": 7})
        push = await one.next_push("pub")
        assert published is not None
        assert (push["ch"], push["d"], push["pos"]) == ("order:created", {"id": 7}, list(published))
        assert position[0] == published.epoch
        assert not other.pushes


async def test_overlapping_patterns_bring_one_copy(ana: Person) -> None:
    async with connected_client(ana) as client:
        for pattern in ("order:*", "order:*:paid", "order:1:paid"):
            await client.subscribe(pattern)
        await PubSubManager("acme").apublish("order:1:paid", 1)
        await PubSubManager("acme").apublish("order:2", 2)
        assert (await client.next_push("pub"))["d"] == 1
        assert (await client.next_push("pub"))["d"] == 2


async def test_unsubscribed_gets_nothing(ana: Person) -> None:
    async with connected_client(ana) as client:
        await client.subscribe("order:*")
        await client.subscribe("room:1")
        await client.command("unsub", ch="order:*")
        await client.command("unsub", ch="order:*")
        await PubSubManager("acme").apublish("order:created", 1)
        await PubSubManager("acme").apublish("room:1", 2)
        assert (await client.next_push("pub"))["d"] == 2


async def test_publishing_stamps_the_user(ana: Person, ben: Person) -> None:
    async with connected_client(ana) as one, connected_client(ben) as other:
        await other.subscribe("room:1")
        await one.publish("room:1", {"u": "forged"})
        push = await other.next_push("pub")
        assert (push["u"], push["by"]) == ("1", one.conn)


async def test_publisher_gets_its_own_copy_unless_it_says_no(ana: Person) -> None:
    async with connected_client(ana) as client:
        await client.subscribe("room:1")
        await client.publish("room:1", "silent", echo=False)
        await client.publish("room:1", "echoed")
        assert (await client.next_push("pub"))["d"] == "echoed"


async def test_idempotency_keys_are_the_users_own(ana: Person, ben: Person) -> None:
    async with connected_client(ana) as one, connected_client(ben) as other:
        first = await one.publish("room:1", 1, key="k")
        assert await one.publish("room:1", 1, key="k") == first
        assert await other.publish("room:1", 1, key="k") != first


async def test_client_resumes_where_it_was(ana: Person) -> None:
    manager = PubSubManager("acme")
    async with connected_client(ana) as client:
        await client.subscribe("order:*")
        await manager.apublish("order:created", 1)
        position = (await client.next_push("pub"))["pos"]
    await manager.apublish("order:created", 2)
    await manager.apublish("order:refunded", 3)
    async with connected_client(ana) as client:
        reply = await client.subscribe("order:created", since=position)
        assert reply["recovered"] is True
        assert [pub["d"] for pub in reply["pubs"]] == [2]
        await manager.apublish("order:created", 4)
        assert (await client.next_push("pub"))["d"] == 4


@pytest.mark.parametrize("since", [["lost", 1], ["lost", 0]])
async def test_resume_from_a_lost_log_is_told(ana: Person, since: Any) -> None:
    async with connected_client(ana) as client:
        reply = await client.subscribe("order:*", since=since)
        assert (reply["recovered"], reply["why"]) == (False, "epoch")


async def test_resume_over_too_much_is_told(ana: Person, configure: Configure) -> None:
    configure(REALTIME_LIMITS={"recovery_messages": 5})
    manager = PubSubManager("acme")
    position = await manager.apublish("order:created", 0)
    for n in range(6):
        await manager.apublish("order:created", n)
    async with connected_client(ana) as client:
        reply = await client.subscribe("order:*", since=list(position))
        assert (reply["recovered"], reply["why"]) == (False, "limit")


async def test_only_what_a_client_listens_to_counts_when_it_comes_back(ana: Person) -> None:
    manager = PubSubManager("acme")
    position = await manager.apublish("order:1", 0)
    for number in range(400):
        await manager.apublish("order:2", number)
    await manager.apublish("order:1", 1)
    async with connected_client(ana) as client:
        reply = await client.subscribe("order:1", since=position)
        assert reply["recovered"] is True
        assert [pub["d"] for pub in reply["pubs"]] == [1]
        await manager.apublish("order:1", 2)
        assert (await client.next_push("pub"))["d"] == 2


async def test_history_reads_no_more_than_its_share_of_the_log(ana: Person, configure: Configure) -> None:
    configure(REALTIME_LIMITS={"commands_per_second": 1000, "user_commands_per_second": 1000})
    manager = PubSubManager("acme")
    position = await manager.apublish("order:noise", 0)
    for number in range(60):
        await manager.apublish("order:noise", "x" * 60_000)
        if number % 20 == 0:
            await manager.apublish("order:wanted", number)
    async with connected_client(ana) as client:
        found: list[int] = []
        since, more, calls = list(position), True, 0
        while more:
            before = redis_client().info("stats")["total_net_output_bytes"]
            page = await client.command("history", ch="order:wanted", since=since, limit=1000)
            assert redis_client().info("stats")["total_net_output_bytes"] - before < 2 * 1024 * 1024
            found += [pub["d"] for pub in page["pubs"]]
            since, more, calls = page["pos"], page["more"], calls + 1
        assert found == [0, 20, 40]
        assert calls > 2


async def test_history_pages(ana: Person) -> None:
    manager = PubSubManager("acme")
    positions = [await manager.apublish("order:created", n) for n in range(10)]
    async with connected_client(ana) as client:
        page = await client.command("history", ch="order:*", since=list(positions[1]), limit=5)
        assert [pub["d"] for pub in page["pubs"]] == [2, 3, 4, 5, 6]
        assert page["more"] is True
        rest = await client.command("history", ch="order:*", since=page["pos"])
        assert [pub["d"] for pub in rest["pubs"]] == [7, 8, 9]
        newest = await client.command("history", ch="order:*", limit=2)
        assert [pub["d"] for pub in newest["pubs"]] == [8, 9]
        error = await refused(client.command("history", ch="order:*", since=["lost", 1]))
        assert error.code == ErrorCode.UNRECOVERABLE


async def test_cut_redis_loses_nothing(ana: Person) -> None:
    manager = PubSubManager("acme")
    async with connected_client(ana) as client:
        await client.subscribe("order:*")
        for n in range(30):
            if n % 10 == 5:
                cut_redis_connections()
            await manager.apublish("order:created", n)
        assert [(await client.next_push("pub"))["d"] for _ in range(30)] == list(range(30))


async def test_emptied_redis_is_told(ana: Person) -> None:
    async with connected_client(ana) as client:
        await client.subscribe("order:*")
        await PubSubManager("acme").apublish("order:created", 1)
        await client.next_push("pub")
        redis_client().flushdb()
        position = await PubSubManager("acme").apublish("order:created", 2)
        assert await client.next_push("resync") == {"ch": "order:*", "pos": list(position)}


async def test_connected_user_is_online(ana: Person) -> None:
    async with connected_client(ana):
        assert await PresenceManager("acme").ais_online(1)
    await hub().settle()
    assert await PresenceManager("acme").ais_online(1), "the grace absorbs a page reload"
    let_time_pass(6, product="acme")
    assert not await PresenceManager("acme").ais_online(1)


async def test_rooms_show_who_is_there(ana: Person, ben: Person) -> None:
    async with connected_client(ana) as one:
        snapshot = await one.join("room:1", meta={"name": "Ana"})
        assert snapshot["users"] == {"1": [{"c": one.conn, "m": {"name": "Ana"}}]}
        first = (await one.next_push("pres"))["v"]
        async with connected_client(ben) as other:
            snapshot = await other.join("room:1")
            assert sorted(snapshot["users"]) == ["1", "2"]
            joined = await one.next_push("pres")
            assert list(joined["join"]) == ["2"]
            assert joined["v"] == snapshot["v"] == first + 1
            await other.command("unpres", ch="room:1")
            assert (await one.next_push("pres"))["leave"] == {"2": [other.conn]}


async def test_watching_is_not_joining(ana: Person, ben: Person) -> None:
    async with connected_client(ana) as one, connected_client(ben) as other:
        assert (await one.join("room:1", join=False))["users"] == {}
        await other.join("room:1")
        assert list((await one.next_push("pres"))["join"]) == ["2"]


async def test_product_presence_can_be_watched(ana: Person, ben: Person) -> None:
    async with connected_client(ana) as one:
        assert list((await one.join("@online"))["users"]) == ["1"]
        async with connected_client(ben):
            assert list((await one.next_push("pres"))["join"]) == ["2"]


async def test_idle_shows_in_every_room(ana: Person, ben: Person) -> None:
    async with connected_client(ana) as one, connected_client(ben) as other:
        await one.join("room:1")
        await other.join("room:1", join=False)
        await one.send("idle")
        assert (await other.next_push("pres"))["update"] == {"1": [{"c": one.conn, "m": {}, "idle": True}]}
        await one.send("active")
        assert (await other.next_push("pres"))["update"] == {"1": [{"c": one.conn, "m": {}}]}


async def test_heartbeat_keeps_a_silent_room_and_is_one_call(ana: Person, ben: Person) -> None:
    async with connected_client(ana) as one, connected_client(ben) as other:
        await one.join("room:1")
        await other.join("room:2")
        with count_round_trips() as calls:
            await hub().presence.heartbeat()
        assert calls.of("evalsha") == 1
        let_time_pass(40, product="acme")
        await hub().presence.heartbeat()
        let_time_pass(40, product="acme")
        assert await PresenceManager("acme").ais_online(1)
        assert await PresenceManager("acme", "room:2").ais_online(2)


async def test_forgotten_presence_comes_back(ana: Person) -> None:
    async with connected_client(ana) as client:
        await client.join("room:1", meta={"name": "Ana"})
        redis_client().flushdb()
        await hub().presence.heartbeat()
        assert await PresenceManager("acme").ais_online(1)
        users = PresenceManager("acme", "room:1").snapshot().users
        assert users == {"1": [{"c": client.conn, "m": {"name": "Ana"}}]}


async def test_crashed_users_leave_once(ana: Person) -> None:
    PresenceManager("acme", "room:1").set_online(99, "crashed")
    async with connected_client(ana) as client:
        await client.join("room:1")
        await client.next_push("pres")
        let_time_pass(61, product="acme")
        await hub().presence.heartbeat()
        leave = await client.next_push("pres")
        while not leave["leave"]:
            leave = await client.next_push("pres")
        assert leave["leave"] == {"99": ["crashed"]}
        await hub().presence.sweep()
        assert not [push for push in client.pushes if "pres" in push and push["pres"]["leave"]]


async def test_restart_locks_nobody_out_of_their_tabs(ana: Person, configure: Configure) -> None:
    configure(REALTIME_LIMITS={"connections_per_user": 3})
    async with AsyncExitStack() as stack:
        before = [await stack.enter_async_context(open_socket(ana)) for _ in range(3)]
        for socket in before:
            await socket.client.connect()
        for socket in before:
            await socket.disconnect(1012)
        await hub().settle()
        assert await PresenceManager("acme").ais_online(1)  # in their grace
        for _ in range(3):
            await stack.enter_async_context(connected_client(ana))
        with pytest.raises((CommandFailed, SocketClosed)):
            await stack.enter_async_context(connected_client(ana))


async def test_crashed_server_holds_nobodys_quota_past_a_missed_heartbeat(
    ana: Person, configure: Configure
) -> None:
    configure(REALTIME_LIMITS={"connections_per_user": 3})
    for number in range(3):
        await PresenceManager("acme").aset_online(1, f"crashed-{number}")
    let_time_pass(31, product="acme")
    async with connected_client(ana):
        pass


async def test_full_room_refuses(ana: Person, ben: Person, configure: Configure) -> None:
    configure(REALTIME_LIMITS={"room_members": 1, "rooms": 1})
    async with connected_client(ana) as one, connected_client(ben) as other:
        await one.join("room:1")
        assert (await refused(other.join("room:1"))).code == ErrorCode.LIMIT
        await other.join("room:2")
        assert (await refused(other.join("room:3"))).code == ErrorCode.LIMIT


async def test_big_rooms_come_in_pages(ana: Person) -> None:
    room = PresenceManager("acme", "room:1")
    for user in range(1000, 1700):
        room.set_online(user, f"c{user}")
    async with connected_client(ana) as client:
        page = await client.join("room:1", join=False)
        seen = dict(page["users"])
        while page["next"]:
            page = await client.join("room:1", cursor=page["next"])
            seen.update(page["users"])
        assert len(seen) == 700


async def test_typing_reaches_the_others(ana: Person, ben: Person) -> None:
    async with connected_client(ana) as one, connected_client(ben) as other:
        await one.subscribe("conv:7")
        await other.subscribe("conv:*")
        await one.send("typing", ch="conv:7", on=True)
        push = await other.next_push("typing")
        assert push == {"ch": "conv:7", "u": "1", "c": one.conn, "on": True, "ttl": 6000}
        assert await TypingManager("acme").aget_typing_users("conv:7") == ["1"]
        await one.command("typing", ch="conv:7", on=False)
        assert (await other.next_push("typing"))["on"] is False
        assert not one.pushes


async def test_bad_cursor_is_an_error(ana: Person) -> None:
    async with connected_client(ana) as client:
        error = await refused(client.join("room:1", cursor="x"))
        assert error.code == ErrorCode.BAD_REQUEST


async def test_subscriptions_have_a_limit(ana: Person, configure: Configure) -> None:
    configure(REALTIME_LIMITS={"subscriptions": 3})
    async with connected_client(ana) as client:
        for n in range(3):
            await client.subscribe(f"order:{n}")
        await client.subscribe("order:0")
        assert (await refused(client.subscribe("order:3"))).code == ErrorCode.LIMIT
