"""Settings of that server; BENCH_LAYER names the channel layer."""

from __future__ import annotations

import os

from pleme_redis_django.realtime.channel_layer import channel_layer_entry
from tests.settings import *  # noqa: F403 - the same settings
from tests.settings import PLEME_REDIS

PLEME_REDIS = {**PLEME_REDIS, "ALLOW_ANONYMOUS": True, "CHANNELS": {"bench:*": {"subscribe": "anyone"}}}
CHANNEL_LAYERS = {
    "default": channel_layer_entry(str(PLEME_REDIS["URL"]), backend=os.environ["BENCH_LAYER"]),
}
