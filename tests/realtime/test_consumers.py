from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from pleme_redis_django.realtime.authorization import takes_patterns
from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.realtime.consumers import PresenceConsumer, PubSubConsumer, TypingConsumer
from pleme_redis_django.realtime.frames import ErrorCode
from pleme_redis_django.realtime.hub import hub
from pleme_redis_django.redis_state.presence.manager import PresenceManager
from pleme_redis_django.redis_state.presence.typing_indicators import TypingManager
from pleme_redis_django.redis_state.pubsub.manager import PubSubManager
from pleme_redis_django.redis_state.server.connections import redis_client
from pleme_redis_django.testing.realtime import (
    CommandFailed,
    SocketClosed,
    connected_client,
    cut_redis_connections,
    let_time_pass,
)
from pleme_redis_django.testing.realtime.client import open_socket
from tests.realtime.conftest import Person
from tests.waiting import await_until

Configure = Callable[..., None]


async def refused(command: Any) -> CommandFailed:
    with pytest.raises(CommandFailed) as error:
        await command
    return error.value


# Connecting


async def test_connect_tells_who_and_where(ana: Person) -> None:
    async with open_socket(ana) as socket:
        reply = await socket.client.connect()
    assert (reply["user"], reply["product"]) == ("1", "acme")
    assert reply["limits"] == {"frame": 65_536, "subs": 128, "cmd_s": 30}


async def test_anonymous_is_refused_with_a_code() -> None:
    async with open_socket() as socket:
        assert (await socket.client.next_push("bye"))["code"] == 4001
        assert await socket.client.wait_closed() == CloseCode.BAD_CREDENTIALS


async def test_anonymous_is_accepted_where_the_project_says_so(configure: Configure) -> None:
    configure(ALLOW_ANONYMOUS=True, CHANNELS={"news:*": {"subscribe": "anyone"}})
    async with connected_client() as client:
        await client.subscribe("news:*")
        assert (await refused(client.publish("news:1", 1))).code == ErrorCode.DENIED


async def test_other_subprotocol_is_refused(ana: Person) -> None:
    async with open_socket(ana, subprotocols=["pleme.v9"]) as socket:
        assert await socket.client.wait_closed() == CloseCode.BAD_PROTOCOL


async def test_socket_without_a_product_is_refused(ana: Person, configure: Configure) -> None:
    configure(PRODUCT=None)
    async with open_socket(ana, tenant=None) as socket:
        assert await socket.client.wait_closed() == CloseCode.DENIED


async def test_first_command_is_connect(ana: Person) -> None:
    async with open_socket(ana) as socket:
        assert (await refused(socket.client.subscribe("order:*"))).code == ErrorCode.UNAUTHORIZED
        await socket.client.connect()
        assert (await refused(socket.client.connect())).code == ErrorCode.BAD_REQUEST


async def test_open_socket_without_connect_is_closed(ana: Person) -> None:
    async with open_socket(ana) as socket:
        await await_until(lambda: hub().connections)
        let_time_pass(11, product="acme")
        assert await socket.client.wait_closed() == CloseCode.BAD_PROTOCOL


async def test_user_has_a_limit_of_connections(ana: Person, configure: Configure) -> None:
    configure(REALTIME_LIMITS={"connections_per_user": 1})
    async with connected_client(ana), open_socket(ana) as second:
        with pytest.raises((CommandFailed, SocketClosed)):
            await second.client.connect()
        assert await second.client.wait_closed() == CloseCode.OVERLOAD


# Pub/sub


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


# Presence


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
        redis_client().config_resetstat()
        await hub().presence.heartbeat()
        assert redis_client().info("commandstats")["cmdstat_evalsha"]["calls"] == 1
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


# Typing


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


# Who may what


async def test_nothing_is_open_by_default(ana: Person, configure: Configure) -> None:
    configure(CHANNELS={})
    async with connected_client(ana) as client:
        for command in (
            client.subscribe("order:*"),
            client.publish("order:1", 1),
            client.join("room:1"),
            client.join("@online"),
            client.command("typing", ch="conv:7", on=True),
            client.command("history", ch="order:*"),
        ):
            assert (await refused(command)).code == ErrorCode.DENIED


async def test_pattern_does_not_open_what_an_earlier_rule_closes(ana: Person, configure: Configure) -> None:
    configure(CHANNELS={"room:staff": {"subscribe": "staff"}, "room:*": {"subscribe": "authenticated"}})
    async with connected_client(ana) as client:
        await client.subscribe("room:1")
        assert (await refused(client.subscribe("room:staff"))).code == ErrorCode.DENIED
        assert (await refused(client.subscribe("room:*"))).code == ErrorCode.DENIED


ASKED: list[tuple[str, str]] = []


@takes_patterns
def own_orders(scope: dict[str, Any], action: str, channel: str) -> bool:
    ASKED.append((action, channel))
    return channel.startswith(f"order:{scope['user'].pk}:")


@takes_patterns
async def own_orders_async(scope: dict[str, Any], action: str, channel: str) -> bool:
    return own_orders(scope, action, channel)


@pytest.mark.parametrize("hook", ["own_orders", "own_orders_async"])
async def test_authorize_hook_decides_alone(ana: Person, configure: Configure, hook: str) -> None:
    configure(AUTHORIZE=f"tests.realtime.test_consumers.{hook}")
    ASKED.clear()
    async with connected_client(ana) as client:
        await client.subscribe("order:1:*")
        assert (await refused(client.subscribe("order:2:*"))).code == ErrorCode.DENIED
        assert (await refused(client.subscribe("room:1"))).code == ErrorCode.DENIED
    assert ASKED[0] == ("subscribe", "order:1:*")


def broken_hook(scope: dict[str, Any], action: str, channel: str) -> bool:
    raise RuntimeError("secret of the hook")


async def test_broken_hook_denies_and_keeps_its_secret(ana: Person, configure: Configure) -> None:
    configure(AUTHORIZE="tests.realtime.test_consumers.broken_hook")
    async with connected_client(ana) as client:
        error = await refused(client.subscribe("room:1"))
        assert (error.code, error.is_temporary) == (ErrorCode.DENIED, False)
        assert "secret" not in str(error)


async def test_products_share_nothing(ana: Person, ben: Person) -> None:
    async with connected_client(ana) as one, connected_client(ben, tenant="other") as other:
        for client in (one, other):
            await client.subscribe("order:*")
            await client.subscribe("conv:*")
            await client.join("room:1")
            await client.join("@online")
        for client in (one, other):
            await client.next_push("pres")
        await one.publish("order:1", "acme only")
        await one.send("typing", ch="conv:7", on=True)
        await other.publish("order:1", "other only")
        assert (await one.next_push("pub"))["d"] == "acme only"
        assert (await other.next_push("pub"))["d"] == "other only"
        assert (await other.join("@online"))["users"].keys() == {"2"}
        assert not [push for push in other.pushes if "typing" in push]


async def test_client_cannot_name_a_product(ana: Person) -> None:
    async with open_socket(ana) as socket:
        reply = await socket.client.command("connect", product="other")
        assert reply["product"] == "acme"


# Bad input


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "object"),
        ("7", "object"),
        ('{"id":1,"sub":{"ch":"x"},"pub":{}}', "one command"),
        ('{"id":1,"nonsense":{}}', "unknown command 'nonsense'"),
        ('{"id":1,"refresh":{}}', "reserved"),
        ('{"id":1}', "no command"),
        ('{"id":-1,"sub":{}}', "id"),
        ('{"id":true,"sub":{}}', "id"),
        ('{"id":1e400,"sub":{}}', "id"),
        ('{"id":1,"sub":[]}', "sub: accepted is an object"),
        ('{"id":1,"sub":{}}', "sub.ch is missing"),
        ('{"id":1,"sub":{"ch":7}}', "sub.ch: accepted"),
        ('{"id":1,"sub":{"ch":"order:*","since":7}}', "sub.since"),
        ('{"id":1,"sub":{"ch":"order:*","since":[1,2]}}', "not a position"),
        ('{"id":1,"sub":{"ch":"*"}}', "not a valid channel pattern"),
        ('{"id":1,"sub":{"ch":"a\\nb"}}', "not a valid channel pattern"),
        ('{"id":1,"sub":{"ch":"' + "x" * 10_000 + '"}}', "not a valid channel pattern"),
        ('{"id":1,"sub":{"ch":"pl:{acme}"}}', "not a valid channel pattern"),
        ('{"id":1,"pub":{"ch":"order:*","d":1}}', "not a valid channel name"),
        ('{"id":1,"pub":{"ch":"order:1"}}', "pub.d is missing"),
        ('{"id":1,"pub":{"ch":"order:1","d":NaN}}', "not JSON"),
        ('{"id":1,"pub":{"ch":"order:1","d":' + "9" * 5000 + "}}", "not JSON"),
        ('{"id":1,"pub":{"ch":"order:1","d":' + "[" * 99 + "]" * 99 + "}}", "nested too deeply"),
        ('{"id":1,"pub":{"ch":"order:1","d":' + "[" * 30_000 + "]" * 30_000 + "}}", "nested too deeply"),
        ('{"id":1,"pub":{"ch":"order:1","d":"\\ud800"}}', "cannot be written"),
        ('{"id":1,"pres":{"ch":"room:1","meta":[]}}', "pres.meta"),
        ('{"id":1,"pres":{"ch":"room:1","meta":{"x":"' + "y" * 2000 + '"}}}', "1,024"),
        ('{"id":1,"pres":{"ch":"@other"}}', "not a valid channel name"),
        ('{"id":1,"typing":{"ch":"conv:7","on":1}}', "typing.on"),
        ('{"id":1,"history":{"ch":"order:*","limit":0}}', "history.limit"),
    ],
)
async def test_bad_frame_gets_an_error_that_says_where(ana: Person, text: str, why: str) -> None:
    async with connected_client(ana) as client:
        await client.send_text(text)
        await await_until(lambda: client._replies or client.pushes)
        answer = client._replies.pop(1, None) or client.pushes.popleft()
        assert answer["error"]["code"] == ErrorCode.BAD_REQUEST
        assert why in answer["error"]["msg"]
        await client.subscribe("order:*")


async def test_bad_cursor_is_an_error(ana: Person) -> None:
    async with connected_client(ana) as client:
        error = await refused(client.join("room:1", cursor="x"))
        assert error.code == ErrorCode.BAD_REQUEST


async def test_unknown_fields_are_ignored(ana: Person) -> None:
    async with connected_client(ana) as client:
        await client.command("sub", ch="order:*", of_the_future=1)


async def test_binary_frame_closes(ana: Person) -> None:
    async with open_socket(ana) as socket:
        await socket.client.connect()
        await socket._inbox.put({"type": "websocket.receive", "bytes": b"\x00"})
        assert await socket.client.wait_closed() == CloseCode.BAD_PROTOCOL


async def test_oversize_frame_is_refused_unread(ana: Person) -> None:
    async with connected_client(ana) as client:
        await client.send_text("x" * 70_000)
        assert (await client.next_push("error"))["code"] == ErrorCode.LIMIT
        await client.send_text("ü" * 40_000)
        assert (await client.next_push("error"))["code"] == ErrorCode.LIMIT
        await client.subscribe("order:*")


async def test_flood_is_slowed_then_closed(ana: Person) -> None:
    async with open_socket(ana) as socket:
        await socket.client.connect()
        for number in range(10, 400):
            await socket.client.send_text(json.dumps({"id": number, "unsub": {"ch": "order:*"}}))
        assert await socket.client.wait_closed() == CloseCode.OVER_QUOTA
        codes = [reply["error"]["code"] for reply in socket.client._replies.values() if "error" in reply]
        assert set(codes) == {ErrorCode.RATE}
        assert len(socket.client._replies) < 200


async def test_subscriptions_have_a_limit(ana: Person, configure: Configure) -> None:
    configure(REALTIME_LIMITS={"subscriptions": 3})
    async with connected_client(ana) as client:
        for n in range(3):
            await client.subscribe(f"order:{n}")
        await client.subscribe("order:0")
        assert (await refused(client.subscribe("order:3"))).code == ErrorCode.LIMIT


# Slow and silent clients


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
        assert len(connection.outbox) <= 10
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


# Endings


async def test_vanished_socket_lets_go_of_everything(ana: Person) -> None:
    async with open_socket(ana) as socket:
        await socket.client.connect()
        await socket.client.subscribe("order:*")
        await socket.client.join("room:1")
        await socket.vanish()
        assert not hub().connections
        await hub().settle()
        assert len(hub().heads) == 0


@pytest.mark.parametrize(
    ("consumer", "allowed", "refused_command"),
    [
        (PresenceConsumer, ("pres", {"ch": "room:1"}), ("sub", {"ch": "order:*"})),
        (TypingConsumer, ("typing", {"ch": "conv:7", "on": True}), ("pub", {"ch": "order:1", "d": 1})),
        (PubSubConsumer, ("sub", {"ch": "order:*"}), ("pres", {"ch": "room:1"})),
    ],
)
async def test_single_purpose_consumers(
    ana: Person, consumer: Any, allowed: Any, refused_command: Any
) -> None:
    async with connected_client(ana, application=consumer.as_asgi()) as client:
        await client.command(allowed[0], **allowed[1])
        error = await refused(client.command(refused_command[0], **refused_command[1]))
        assert error.code == ErrorCode.BAD_REQUEST
