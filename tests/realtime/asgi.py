"""The ASGI application of those servers: the documented stack, and a consumer with a channel layer."""

from __future__ import annotations

from typing import Any

from channels.routing import ProtocolTypeRouter
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application
from django.urls import path

django_application = ASGIStaticFilesHandler(get_asgi_application())

from pleme_redis_django.realtime.consumers import RealtimeConsumer  # noqa: E402 - once Django is set up
from pleme_redis_django.realtime.routing import websocket_application  # noqa: E402 - once Django is set up


class GroupConsumer(RealtimeConsumer):
    """A project's own consumer: everything of the package, and a group of the channel layer."""

    channel_layer_alias = "default"

    async def websocket_connect(self, message: dict[str, Any]) -> None:
        await super().websocket_connect(message)
        await self.channel_layer.group_add("everyone", self.channel_name)

    async def group_told(self, event: dict[str, Any]) -> None:
        await self.send({"type": "websocket.send", "text": event["text"]})


application = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": websocket_application(path("ws/groups/", GroupConsumer.as_asgi())),
    }
)
