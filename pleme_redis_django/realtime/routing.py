"""Where the sockets are mounted, and the stack around them: origin, session, user."""

from __future__ import annotations

from typing import Any

from channels.routing import URLRouter
from channels.security.websocket import AllowedHostsOriginValidator, OriginValidator
from channels.sessions import CookieMiddleware, SessionMiddleware
from django.urls import path

from pleme_redis_django.conf import get_settings
from pleme_redis_django.realtime.consumers import RealtimeConsumer
from pleme_redis_django.realtime.dashboard_consumer import DashboardConsumer
from pleme_redis_django.realtime.handshakes import QueuedAuthMiddleware

websocket_urlpatterns = [
    path("ws/pleme/", RealtimeConsumer.as_asgi()),
    path("ws/pleme/dashboard/", DashboardConsumer.as_asgi()),
]


def websocket_application(*urlpatterns: Any) -> Any:
    """Return the documented websocket application for ``ProtocolTypeRouter``.

    It refuses a foreign or missing Origin with HTTP 403: ``PLEME_REDIS["ALLOWED_ORIGINS"]`` says which are
    accepted, or else ``ALLOWED_HOSTS``. It loads session and user, for a limited number of sockets at once. It routes
    ``ws/pleme/``, the dashboard's ``ws/pleme/dashboard/``, and, before them, the ``urlpatterns`` of the project.
    """
    routes = URLRouter([*urlpatterns, *websocket_urlpatterns])
    application = CookieMiddleware(SessionMiddleware(QueuedAuthMiddleware(routes)))
    origins = get_settings().allowed_origins
    return OriginValidator(application, origins) if origins else AllowedHostsOriginValidator(application)
