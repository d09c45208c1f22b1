"""The ASGI application that uvicorn serves; static files too, since this is a demo."""

from __future__ import annotations

import os

from channels.routing import ProtocolTypeRouter
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")

# Django's applications are loaded first: the websocket side imports models.
http_application = ASGIStaticFilesHandler(get_asgi_application())

from django.urls import path  # noqa: E402 - once Django is set up

from example_project.shop.admin import EMAIL_DASHBOARD_SOCKET  # noqa: E402 - once Django is set up
from example_project.shop.models import EmailJob  # noqa: E402 - once Django is set up
from pleme_redis_django.realtime.dashboard_consumer import DashboardConsumer  # noqa: E402 - once Django is set up
from pleme_redis_django.realtime.routing import websocket_application  # noqa: E402 - once Django is set up


class EmailDashboardConsumer(DashboardConsumer):
    job_model = EmailJob


sockets = websocket_application(path(EMAIL_DASHBOARD_SOCKET, EmailDashboardConsumer.as_asgi()))
application = ProtocolTypeRouter({"http": http_application, "websocket": sockets})
