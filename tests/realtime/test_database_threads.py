"""Who waits for whom in the threads in which sockets use the database."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from pleme_redis_django.realtime import revalidation
from pleme_redis_django.realtime.authorization import takes_patterns
from pleme_redis_django.realtime.database_threads import RULE_THREADS, RULES_OF_CLIENTS
from pleme_redis_django.realtime.hub import hub
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.redis_call import redis_client
from tests.realtime.opening import create_user, heard, opened
from tests.waiting import await_until

pytestmark = pytest.mark.django_db(transaction=True)

Configure = Callable[..., None]


@takes_patterns
def is_staff(scope: dict[str, Any], action: str, channel: str) -> bool:
    return bool(scope["user"].is_staff)


def orders() -> list[Any]:
    return [json.loads(fields[b"order"]) for _, fields in redis_client().xrange(keyspace.control_log())]


async def test_handshake_does_not_wait_for_rules(configure: Configure) -> None:
    answer = threading.Event()

    def slow(scope: dict[str, Any], action: str, channel: str) -> bool:
        return answer.wait(30)

    configure(CHANNELS={"order:*": {"subscribe": slow}})
    ana, ben = await create_user("ana"), await create_user("ben")
    async with AsyncExitStack() as stack:
        asking = []
        for _ in range(RULE_THREADS + 1):
            socket = await stack.enter_async_context(opened(ana))
            asking.append(asyncio.ensure_future(socket.client.subscribe("order:1")))
        async with opened(ben):
            assert not answer.is_set()
        answer.set()
        await asyncio.gather(*asking)


def note_calls(monkeypatch: pytest.MonkeyPatch, name: str) -> asyncio.Event:
    """Return what is set once a look calls this function."""
    called, function = asyncio.Event(), getattr(revalidation, name)

    def noted(*args: Any, **options: Any) -> Any:
        called.set()
        return function(*args, **options)

    monkeypatch.setattr(revalidation, name, noted)
    return called


async def test_withdrawn_permission_does_not_wait_behind_a_herd(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_answer = threading.Semaphore(0)

    def rule(scope: dict[str, Any], action: str, channel: str) -> bool:
        return channel != "order:herd" or may_answer.acquire(timeout=30)

    @takes_patterns
    def of_staff(scope: dict[str, Any], action: str, channel: str) -> bool:
        return bool(scope["user"].is_staff)

    configure(CHANNELS={"order:*": {"subscribe": rule}, "room:*": {"subscribe": of_staff}})
    ben = await create_user("ben", is_staff=True)
    herd = [await create_user(f"u{number}") for number in range(4 * RULES_OF_CLIENTS)]
    async with AsyncExitStack() as stack:
        socket = await stack.enter_async_context(opened(ben))
        await heard()
        await socket.client.subscribe("room:staff")
        sockets = [await stack.enter_async_context(opened(user)) for user in herd]
        asking = [asyncio.ensure_future(each.client.subscribe("order:herd")) for each in sockets]
        await await_until(
            lambda: all(each.is_busy for each in hub().connections.values() if each.user_id != str(ben.pk))
        )
        # What a look asks stands in line, behind no more than this, from the turn of the loop in which it asks.
        steps = ("resolve_scope_product", "is_allowed")
        asked = {name: note_calls(monkeypatch, name) for name in steps}
        ben.is_staff = False
        await ben.asave()
        for name in steps:
            await asked[name].wait()
            may_answer.release(RULES_OF_CLIENTS)
        assert (await socket.client.next_push("unsub"))["ch"] == "room:staff"
        may_answer.release(len(herd))
        await asyncio.gather(*asking)
