"""How many users and connections are online in each product, for those who look at all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.redis_call import redis_client
from pleme_redis_django.redis_state.server.unavailable import outages_as_unavailable


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OnlineCount:
    """Who is online in one product."""

    users: int
    connections: int
    """Of those users, in the product's presence; sockets that joined none are not counted."""


def products_with_presence() -> list[str]:
    """Return the products that had users online within a day. Raises RedisUnavailable."""
    with outages_as_unavailable():
        names: list[Any] = redis_client().zrange(keyspace.presence_products(), 0, -1)
    return sorted(name.decode() for name in names)


def online_counts(products: Sequence[str]) -> list[OnlineCount]:
    """Return who is online in these products, in their order, by the server's clock. Raises RedisUnavailable.

    Two round trips for all of them.
    """
    if not products:
        return []
    with outages_as_unavailable():
        client = redis_client()
        seconds, microseconds = client.time()
        after = f"({seconds * 1000 + microseconds // 1000}"
        pipeline = client.pipeline(transaction=False)
        for product in products:
            keys = keyspace.presence_keys(product, "")
            pipeline.zcount(keys.expiries, after, "+inf")
            pipeline.zcount(keys.connections, after, "+inf")
        counts = pipeline.execute()
    return [
        OnlineCount(users=users, connections=connections)
        for users, connections in zip(counts[::2], counts[1::2], strict=True)
    ]
