"""What bench_realtime serves: the hub's consumer, and plain Channels groups, without the session stack."""

from __future__ import annotations

from typing import Any

import django

django.setup()

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402 - once Django is set up
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402 - once Django is set up
from django.contrib.auth.models import AnonymousUser  # noqa: E402 - once Django is set up
from django.urls import path  # noqa: E402 - once Django is set up

from pleme_redis_django.realtime.consumers import RealtimeConsumer  # noqa: E402 - once Django is set up

GROUP = "bench"


class GroupConsumer(AsyncWebsocketConsumer):
    """The consumer of Channels' tutorial."""

    async def connect(self) -> None:
        await self.channel_layer.group_add(GROUP, self.channel_name)
        await self.accept()
        await self.send(text_data="ready")

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(GROUP, self.channel_name)

    async def group_message(self, event: dict[str, Any]) -> None:
        await self.send(text_data=event["text"])


def _with_user(application: Any) -> Any:
    async def call(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await application({**scope, "user": AnonymousUser(), "session": None}, receive, send)

    return call


application = ProtocolTypeRouter(
    {
        "websocket": _with_user(
            URLRouter([path("hub/", RealtimeConsumer.as_asgi()), path("groups/", GroupConsumer.as_asgi())])
        )
    }
)
