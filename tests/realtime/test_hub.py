"""What a hub does while it has sockets, and when they go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.realtime.consumers import (
    RealtimeConsumer,
)
from pleme_redis_django.realtime.hub import hub
from pleme_redis_django.redis_state.presence.manager import PresenceManager
from pleme_redis_django.testing.realtime import (
    connected_client,
    let_time_pass,
)
from pleme_redis_django.testing.realtime.client import open_socket
from tests.realtime.conftest import Person
from tests.waiting import await_until


async def test_vanished_socket_lets_go_of_everything(ana: Person) -> None:
    async with open_socket(ana) as socket:
        await socket.client.connect()
        await socket.client.subscribe("order:*")
        await socket.client.join("room:1")
        await socket.vanish()
        assert not hub().connections
        await hub().settle()
        assert not hub().heads._routes


pytestmark = pytest.mark.django_db(transaction=True)

Configure = Callable[..., None]


async def test_tick_that_fails_ends_no_clock(
    ana: Person, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected_client(ana):
        monkeypatch.setattr(hub().presence, "tick", lambda now: 1 / 0)
        await await_until(lambda: "A tick of the hub failed" in caplog.text)
        monkeypatch.undo()
        (connection,) = hub().connections.values()
        let_time_pass(26, product="acme")
        await await_until(lambda: connection.outbox.pulse.heard_at > connection.opened_at + 20)


async def test_closed_socket_is_let_go_before_its_server_tells(ana: Person, configure: Configure) -> None:
    configure(PRESENCE_GRACE_SECONDS=0, REALTIME_LIMITS={"send_timeout_seconds": 1})

    async def keep_quiet(message: dict[str, Any]) -> None:
        """A server whose peer is gone: it takes the close, and reports no disconnect."""

    inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    scope = {"type": "websocket", "path": "/", "headers": [], "user": ana, "session": None}
    inbox.put_nowait({"type": "websocket.connect"})
    inbox.put_nowait({"type": "websocket.receive", "text": '{"id":1,"connect":{}}'})
    serving = asyncio.ensure_future(RealtimeConsumer.as_asgi()(scope, inbox.get, keep_quiet))
    await await_until(lambda: [each for each in hub().connections.values() if each.is_registered])
    await await_until(lambda: PresenceManager("acme").is_online(1))
    (connection,) = hub().connections.values()
    connection.close(CloseCode.REVOKED, "revoked")
    await await_until(lambda: not hub().connections)
    await hub().settle()
    assert not await PresenceManager("acme").ais_online(1)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
