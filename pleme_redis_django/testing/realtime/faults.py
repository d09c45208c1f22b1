"""Moves time ahead and breaks connections, on a real Redis."""

from __future__ import annotations

import asyncio
from typing import Any

from pleme_redis_django.conf import resolve_product
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.redis_call import redis_client
from pleme_redis_django.testing.realtime.clock import let_sockets_grow_older

# Not in redis_state/lua/: it is for tests alone, and no application is to load it.
_SHIFT = """
for _, key in ipairs(KEYS) do
  if redis.call('TYPE', key).ok == 'zset' then
    local members = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
    for i = 1, #members, 2 do
      redis.call('ZADD', key, members[i + 1] - ARGV[1], members[i])
    end
  end
end
"""


def let_time_pass(seconds: float, *, product: str | None = None) -> None:
    """Make the presence and typing of a product ``seconds`` older, and the sockets of this event loop.

    The server's clock cannot be set, so what it is compared with is moved. For a Redis of tests only: it
    looks through all keys.
    """
    client: Any = redis_client()
    name = resolve_product(product)
    patterns = (keyspace.presence_pattern(name), keyspace.typing_pattern(name))
    keys = [key for pattern in patterns for key in client.scan_iter(pattern)]
    client.eval(_SHIFT, len(keys), *keys, int(seconds * 1000))
    _age_sockets(seconds)


def _age_sockets(seconds: float) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    let_sockets_grow_older(seconds)


def cut_redis_connections() -> int:
    """Break every connection to Redis but this one, as a failover does; return how many there were."""
    client: Any = redis_client()
    return int(client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")) + int(
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    )
