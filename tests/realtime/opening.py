"""Users with rows and sessions, and their sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.test import Client

from pleme_redis_django.realtime.hub import hub
from pleme_redis_django.testing.realtime.client import InProcessSocket, open_socket
from tests.waiting import await_until


async def create_user(name: str, **fields: Any) -> Any:
    return await sync_to_async(get_user_model().objects.create_user)(name, password="x", **fields)


async def session_of(user: Any) -> Any:
    client = Client()
    await sync_to_async(client.force_login)(user)
    return await sync_to_async(lambda: client.session)()


@asynccontextmanager
async def opened(user: Any, **scope: Any) -> AsyncIterator[InProcessSocket]:
    """A connected socket of a user's own, as each handshake loads it anew."""
    own = await get_user_model().objects.aget(pk=user.pk)
    async with open_socket(own, **scope) as socket:
        await socket.client.connect()
        yield socket


async def heard() -> None:
    """Return when this process hears orders and has looked at what they concern."""
    await await_until(lambda: hub().control._was_confirmed)
    await hub().settle()
