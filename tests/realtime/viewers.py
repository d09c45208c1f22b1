"""People who look at the dashboard through its socket, and what they see."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser
from django.test import Client

from pleme_redis_django.realtime.dashboard_consumer import DashboardConsumer
from pleme_redis_django.testing.realtime.client import InProcessSocket, open_socket
from tests.metrics.measuring import measure_now
from tests.rows import make_job
from tests.waiting import await_until

LogIn = Callable[..., Coroutine[Any, Any, tuple[Any, Client]]]


FAILS_FOR: set[str] = set()


def products_of(user: Any) -> Any:
    name = user.get_username()
    if name in FAILS_FOR:
        raise LookupError("the hook of this project fails")
    return None if name == "all" else [group.name for group in user.groups.all()]


@asynccontextmanager
async def dashboard(
    logged_in: tuple[Any, Client] | None = None, **scope: Any
) -> AsyncIterator[InProcessSocket]:
    user, session = AnonymousUser(), None
    if logged_in is not None:
        user = logged_in[0]
        session = await sync_to_async(lambda: logged_in[1].session)()
    async with open_socket(
        user, application=DashboardConsumer.as_asgi(), session=session, subprotocols=[], **scope
    ) as socket:
        yield socket


async def next_snapshot(socket: InProcessSocket) -> dict[str, Any]:
    """Return the newest snapshot that comes after this call."""
    socket.client.pushes.clear()
    await await_until(lambda: any("queues" in push for push in socket.client.pushes), "a snapshot")
    return next(push for push in socket.client.pushes if "queues" in push)


@sync_to_async
def some_jobs(*products: str) -> None:
    for product in products:
        make_job(product=product, queue_name="emails")
    measure_now()
