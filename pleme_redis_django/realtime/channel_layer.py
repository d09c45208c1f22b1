"""The ``CHANNEL_LAYERS`` entry with which channels_redis works on redis-py 8."""

from __future__ import annotations

from typing import Any

MAX_CONNECTIONS = 10_000


def channel_layer_entry(
    url: str, *, backend: str = "channels_redis.core.RedisChannelLayer"
) -> dict[str, Any]:
    """Return the entry for ``CHANNEL_LAYERS["default"]``.

    redis-py 8 ends a read after 5 s, and the layer's receivers block for longer; its pools stop at 100
    connections, and the layer opens one for each waiting consumer. Both have to be set for each host.
    """
    return {
        "BACKEND": backend,
        "CONFIG": {"hosts": [{"address": url, "socket_timeout": None, "max_connections": MAX_CONNECTIONS}]},
    }
