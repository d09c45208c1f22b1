"""Which pages may open a socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from django.urls import path

from pleme_redis_django.realtime.routing import websocket_application


async def accept(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await receive()


@pytest.mark.parametrize(
    ("origin", "is_let_in"),
    [
        ("https://shop.example", True),
        ("https://evil.example", False),
        ("http://shop.example", False),
        (None, False),
    ],
)
async def test_only_pages_of_the_allowed_origins_open_sockets(
    settings: Any, configure: Callable[..., None], origin: str | None, is_let_in: bool
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    configure(ALLOWED_ORIGINS=["https://shop.example"])
    application = websocket_application(path("ws/mine/", accept))
    headers = [] if origin is None else [(b"origin", origin.encode())]
    communicator = WebsocketCommunicator(application, "/ws/mine/", headers)
    connected, _ = await communicator.connect()
    assert connected is is_let_in
    await communicator.disconnect()
