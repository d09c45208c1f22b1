"""The commands of one socket: in order, bounded, and never in the way of its reader or of other sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pleme_redis_django.realtime import frames
from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.realtime.frames import ErrorCode
from pleme_redis_django.realtime.hub import hub
from pleme_redis_django.redis_state.pubsub.manager import PubSubManager
from pleme_redis_django.testing.realtime import connected_client, let_time_pass
from pleme_redis_django.testing.realtime.client import open_socket
from tests.realtime.conftest import Person
from tests.waiting import await_until

Configure = Callable[..., None]


async def test_lone_empty_frames_are_free_only_as_answers(ana: Person) -> None:
    async with open_socket(ana) as socket:
        await socket.client.connect()
        for _ in range(300):
            await socket.client.send_text("{}")
        assert await socket.client.wait_closed() == CloseCode.OVER_QUOTA


async def test_a_long_frame_gives_the_others_their_turn(ana: Person) -> None:
    async with open_socket(ana) as socket:
        await socket.client.connect()
        turns = 0

        async def count() -> None:
            nonlocal turns
            while socket.client.close_code is None:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.ensure_future(count())
        await socket.client.send_text("x\n" * 20_000)
        assert await socket.client.wait_closed() == CloseCode.OVER_QUOTA
        await counting
        assert turns > 5


async def test_refusals_are_forgotten(
    ana: Person, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(REALTIME_LIMITS={"refusals": 3})
    async with connected_client(ana) as client:
        (connection,) = hub().connections.values()
        for _ in range(10):
            await client.send_text("x")
            assert (await client.next_push("error"))["code"] == ErrorCode.BAD_REQUEST
            let_time_pass(200, product="acme")  # a third of ten minutes
        assert not connection.is_closing


async def test_big_replies_of_one_frame_wait_for_pongs_that_are_read(
    ana: Person, configure: Configure
) -> None:
    configure(REALTIME_LIMITS={"unheard_characters": 10_000, "buffered_characters": 20_000})
    manager = PubSubManager("acme")
    for _ in range(10):
        await manager.apublish("order:created", "x" * 1000)
    async with connected_client(ana) as client:
        frame = "\n".join(frames.encode({"id": 100 + n, "history": {"ch": "order:*"}}) for n in range(8))
        await client.send_text(frame)
        await await_until(lambda: {100 + n for n in range(8)} <= client._replies.keys())


async def test_client_is_heard_while_its_command_waits(
    ana: Person, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slow(scope: dict[str, Any], action: str, channel: str) -> bool:
        asked.set()
        await answer.wait()
        return True

    configure(CHANNELS={"order:*": {"subscribe": slow}})
    async with connected_client(ana) as client:
        subscribing = asyncio.ensure_future(client.subscribe("order:1"))
        await asked.wait()
        (connection,) = hub().connections.values()
        let_time_pass(26, product="acme")
        await await_until(lambda: connection.outbox.pulse.heard_at > connection.opened_at + 20)
        assert not connection.is_closing
        answer.set()
        await subscribing
