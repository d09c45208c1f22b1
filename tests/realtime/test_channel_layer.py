"""channel_layer_entry(): an entry that channels_redis takes, and that says what redis-py's defaults break."""

from __future__ import annotations

import pytest
from channels.layers import ChannelLayerManager
from django.test import override_settings

from pleme_redis_django.realtime.channel_layer import channel_layer_entry

URL = "redis://127.0.0.1:1/0"


@pytest.mark.parametrize(
    "backend", ["channels_redis.core.RedisChannelLayer", "channels_redis.pubsub.RedisPubSubChannelLayer"]
)
def test_the_layer_takes_it(backend: str) -> None:
    with override_settings(CHANNEL_LAYERS={"default": channel_layer_entry(URL, backend=backend)}):
        layer = ChannelLayerManager()["default"]
    assert f"{type(layer).__module__}.{type(layer).__name__}" == backend


def test_a_receiver_may_block_and_each_consumer_has_a_connection() -> None:
    (host,) = channel_layer_entry(URL)["CONFIG"]["hosts"]
    assert host == {"address": URL, "socket_timeout": None, "max_connections": 10_000}
