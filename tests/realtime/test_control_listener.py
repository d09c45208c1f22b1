"""Orders reach the sockets of their time, also those on their way and after an outage."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model

from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.realtime.control import (
    revoke_user,
)
from pleme_redis_django.realtime.hub import hub
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.redis_call import redis_client
from pleme_redis_django.testing.clock import ManualClock
from pleme_redis_django.testing.realtime.client import open_socket
from tests.realtime.opening import create_user, heard, opened
from tests.waiting import await_until

pytestmark = pytest.mark.django_db(transaction=True)

Configure = Callable[..., None]

HERE = "tests.realtime.test_control_listener"


async def test_order_during_a_handshake_reaches_its_socket(configure: Configure) -> None:
    ben, ana = await create_user("ben"), await create_user("ana")
    async with opened(ana):
        await heard()
        loaded = await get_user_model().objects.aget(pk=ben.pk)
        RESOLVING.clear()
        MAY_RESOLVE.clear()
        configure(PRODUCT_RESOLVER=f"{HERE}.slow_resolver")
        async with open_socket(loaded) as socket:
            await await_until(RESOLVING.is_set)
            ben.is_active = False
            await ben.asave()
            await await_until(lambda: hub().control._heard)
            MAY_RESOLVE.set()
            assert await socket.client.wait_closed() == CloseCode.REVOKED


RESOLVING, MAY_RESOLVE = threading.Event(), threading.Event()


def slow_resolver(scope: dict[str, Any]) -> str:
    RESOLVING.set()
    assert MAY_RESOLVE.wait(20)
    return "acme"


async def test_revocation_reaches_a_process_whose_bus_was_away() -> None:
    ana = await create_user("ana")
    async with opened(ana) as socket:
        await heard()
        # Without a wait in between: the order is sent while the server has no connection of the bus.
        redis_client().execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        revoke_user(ana.pk)
        assert await socket.client.wait_closed() == CloseCode.REVOKED


async def test_change_reaches_a_process_whose_bus_was_away() -> None:
    ana = await create_user("ana")
    async with opened(ana) as socket:
        await heard()
        await get_user_model().objects.aupdate(is_active=False)
        redis_client().execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        assert await socket.client.wait_closed() == CloseCode.REVOKED


async def test_socket_that_comes_while_the_last_one_goes_hears_orders() -> None:
    ana, ben = await create_user("ana"), await create_user("ben")
    may_end = asyncio.Event()
    async with opened(ana) as last:
        await heard()
        (connection,) = hub().connections.values()
        hub()._ticker = asyncio.ensure_future(_end_late(hub()._ticker, may_end))
        closing = asyncio.ensure_future(hub().close(connection))
        await await_until(lambda: hub()._ticker is None)
        async with opened(ben) as socket:
            may_end.set()
            await closing
            await last.disconnect()
            revoke_user(ben.pk)
            assert await socket.client.wait_closed() == CloseCode.REVOKED


async def _end_late(ticker: asyncio.Task[None] | None, may_end: asyncio.Event) -> None:
    """A ticker of a hub that takes its time to end once it is cancelled."""
    while not may_end.is_set():
        with contextlib.suppress(asyncio.CancelledError):
            await may_end.wait()
    assert ticker is not None
    ticker.cancel()


async def test_kept_revocation_does_not_close_who_came_later() -> None:
    ana = await create_user("ana")
    await sync_to_async(revoke_user)(ana.pk)
    async with opened(ana) as socket:
        await heard()
        redis_client().execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        (connection,) = hub().connections.values()
        judged = connection.standing.judged
        await await_until(lambda: connection.standing.judged > judged)
        await hub().settle()
        await socket.client.join("room:1")


async def test_kept_revocation_that_is_read_late_does_not_close_who_came_later() -> None:
    clock = ManualClock()
    hub(clock)
    ana = await create_user("ana")
    await sync_to_async(revoke_user)(ana.pk)
    clock.advance(1)
    async with opened(ana) as socket:
        await heard()
        (connection,) = hub().connections.values()
        judged = connection.standing.judged
        clock.advance(5)  # That long, the reply is on its way.
        redis_client().execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await await_until(lambda: connection.standing.judged > judged or connection.is_closing)
        await hub().settle()
        assert not connection.is_closing
        await socket.client.join("room:1")


def orders() -> list[Any]:
    return [json.loads(fields[b"order"]) for _, fields in redis_client().xrange(keyspace.control_log())]
