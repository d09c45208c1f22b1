"""Sockets that come together: how many are looked up at once, and what becomes of the others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.test import Client

from pleme_redis_django.realtime import handshakes
from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.realtime.frames import SUBPROTOCOL
from pleme_redis_django.realtime.hub import hub
from pleme_redis_django.realtime.routing import websocket_application
from pleme_redis_django.testing.realtime.client import InProcessSocket, RealtimeClient, open_socket
from tests.realtime.conftest import Person
from tests.waiting import await_until

pytestmark = pytest.mark.django_db(transaction=True)

Configure = Callable[..., None]
HERE = "tests.realtime.test_handshakes"

RESOLVING, MAY_RESOLVE = threading.Semaphore(0), threading.Event()


def slow_resolver(scope: dict[str, Any]) -> str:
    RESOLVING.release()
    assert MAY_RESOLVE.wait(30)
    return "acme"


@pytest.fixture
def _one_at_a_time(configure: Configure) -> Iterator[None]:
    MAY_RESOLVE.clear()
    while RESOLVING.acquire(blocking=False):
        pass
    limits = {"handshakes": 1, "handshake_wait_seconds": 1}
    configure(PRODUCT_RESOLVER=f"{HERE}.slow_resolver", REALTIME_LIMITS=limits)
    yield
    MAY_RESOLVE.set()


async def is_resolving() -> None:
    await await_until(lambda: RESOLVING.acquire(blocking=False))


async def test_who_queues_for_too_long_comes_back(
    ana: Person, _one_at_a_time: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshakes, "_reported_at", float("-inf"))
    async with open_socket(ana) as first:
        await is_resolving()
        async with open_socket(ana) as second, open_socket(ana) as third:
            assert await second.client.wait_closed() == CloseCode.OVERLOAD
            assert await third.client.wait_closed() == CloseCode.OVERLOAD
        assert (await second.client.next_push("bye"))["retry_ms"] == [500, 20_000]
        MAY_RESOLVE.set()
        await first.client.connect()
    assert len([each for each in caplog.messages if "come back later" in each]) == 1


async def test_who_queues_is_let_in_after_the_others(
    ana: Person, ben: Person, _one_at_a_time: None, configure: Configure
) -> None:
    configure(REALTIME_LIMITS={"handshakes": 1, "handshake_wait_seconds": 30})
    async with open_socket(ana) as first:
        await is_resolving()
        async with open_socket(ben) as second:
            MAY_RESOLVE.set()
            await second.client.connect()
            await first.client.connect()


@asynccontextmanager
async def through_the_stack(configure: Configure, cookie: str = "") -> AsyncIterator[RealtimeClient]:
    """A client of all that ``websocket_application()`` puts around a consumer."""
    configure(ALLOWED_ORIGINS=["https://shop.example"])
    headers = [(b"origin", b"https://shop.example"), (b"cookie", cookie.encode())]
    scope = {"type": "websocket", "path": "/ws/pleme/", "headers": headers, "subprotocols": [SUBPROTOCOL]}
    socket = InProcessSocket(websocket_application(), scope)
    try:
        yield socket.client
    finally:
        await socket.disconnect()


async def test_stack_refuses_with_a_code_too(ana: Person, _one_at_a_time: None, configure: Configure) -> None:
    async with open_socket(ana):
        await is_resolving()
        async with through_the_stack(configure) as client:
            assert await client.wait_closed() == CloseCode.OVERLOAD
            assert (await client.next_push("bye"))["code"] == CloseCode.OVERLOAD
        MAY_RESOLVE.set()


async def test_users_are_loaded_beside_the_thread_that_all_share(configure: Configure) -> None:
    user = await sync_to_async(get_user_model().objects.create_user)("ana", password="x")
    client = Client()
    await sync_to_async(client.force_login)(user)
    name = django_settings.SESSION_COOKIE_NAME
    may_end = threading.Event()
    busy = asyncio.ensure_future(sync_to_async(may_end.wait)(30))
    async with through_the_stack(configure, f"{name}={client.cookies[name].value}") as socket:
        await socket.connect()
        assert [each.user_id for each in hub().connections.values()] == [str(user.pk)]
        may_end.set()
        assert await busy


async def test_anonymous_sockets_that_say_nothing_are_bounded(configure: Configure) -> None:
    configure(ALLOW_ANONYMOUS=True, REALTIME_LIMITS={"silent_anonymous": 2})
    async with AsyncExitStack() as stack:

        async def opened() -> Any:
            before = set(hub().connections)
            socket = await stack.enter_async_context(open_socket(AnonymousUser()))
            await await_until(lambda: set(hub().connections) - before)
            return socket

        said, *silent = [await opened() for _ in range(2)]
        await said.client.connect()
        silent += [await opened() for _ in range(2)]
        assert await silent[0].client.wait_closed() == CloseCode.OVERLOAD
        for each in (silent[1], silent[2]):
            await each.client.connect()
        await said.client.command("unsub", ch="order:1")
        assert not hub().sockets._silent
