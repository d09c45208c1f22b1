"""Sockets from accept to close: who is let in, and what is no frame."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.realtime.consumers import PresenceConsumer, PubSubConsumer, TypingConsumer
from pleme_redis_django.realtime.frames import ErrorCode
from pleme_redis_django.realtime.hub import hub
from pleme_redis_django.testing.realtime import (
    CommandFailed,
    SocketClosed,
    connected_client,
    let_time_pass,
)
from pleme_redis_django.testing.realtime.client import open_socket
from tests.realtime.conftest import Person, refused
from tests.waiting import await_until

Configure = Callable[..., None]


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
