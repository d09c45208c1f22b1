"""The ASGI application that uvicorn serves; static files too, since this is a demo."""

from __future__ import annotations

import os

from channels.routing import ProtocolTypeRouter
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")

# Django's applications are loaded first: the websocket side imports models.
http_application = ASGIStaticFilesHandler(get_asgi_application())

from pleme_redis_django.realtime.routing import websocket_application  # noqa: E402

application = ProtocolTypeRouter({"http": http_application, "websocket": websocket_application()})
