"""Settings of the web servers that tests start as processes of their own."""

from __future__ import annotations

import json
import os

from pleme_redis_django.realtime.channel_layer import channel_layer_entry
from tests.settings import *  # noqa: F403 - the same settings
from tests.settings import PLEME_REDIS

DEBUG = True  # so that staticfiles serves pleme.js
ROOT_URLCONF = "tests.realtime.server_urls"
ALLOWED_HOSTS = ["127.0.0.1"]
_OPEN = dict.fromkeys(("subscribe", "publish", "presence", "typing"), "authenticated")
PLEME_REDIS = {
    **PLEME_REDIS,
    "PRODUCT_RESOLVER": "tests.realtime.server_settings.product_of_user",
    "CHANNELS": {
        "order:*": _OPEN,
        "room:*": _OPEN,
        "conv:*": _OPEN,
        "@online": {"presence": "authenticated"},
    },
    "PRESENCE_TTL_SECONDS": int(os.environ.get("TEST_PRESENCE_TTL_SECONDS", "60")),
    "PRESENCE_GRACE_SECONDS": 0,
    "REALTIME_LIMITS": json.loads(os.environ.get("TEST_REALTIME_LIMITS", "{}")),
}
CHANNEL_LAYERS = {"default": channel_layer_entry(str(PLEME_REDIS["URL"]))}


def product_of_user(scope: dict[str, object]) -> str:
    """The part of the user's name behind the at sign."""
    return str(scope["user"]).partition("@")[2] or "acme"
