"""The current figures of products for the dashboard: users online, connections, and the cache's counts.

Reads only; two round trips for all products and one more for each product's cache.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from pleme_redis_django.redis_state.cache.counters import CacheStats
from pleme_redis_django.redis_state.cache.manager import CacheManager
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.redis_call import redis_client
from pleme_redis_django.redis_state.server.unavailable import outages_as_unavailable


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProductFigures:
    """One product, as Redis knows it."""

    product: str
    users_online: int
    connections: int
    """Of those users, in the product's presence; sockets that joined none are not counted."""
    cache: CacheStats


def products_with_presence() -> list[str]:
    """Return the products that had users online within a day. Raises RedisUnavailable."""
    with outages_as_unavailable():
        names: list[Any] = redis_client().zrange(keyspace.presence_products(), 0, -1)
    return sorted(name.decode() for name in names)


def product_figures(products: Iterable[str]) -> list[ProductFigures]:
    """Return the figures of these products, in their order. Raises RedisUnavailable."""
    names = list(products)
    online = _presence_counts(names)
    return [
        ProductFigures(
            product=name, users_online=users, connections=connections, cache=CacheManager(name).stats()
        )
        for name, (users, connections) in zip(names, online, strict=True)
    ]


def _presence_counts(products: Sequence[str]) -> list[tuple[int, int]]:
    """Return users and connections whose time is not over, by the server's clock."""
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
    return list(zip(counts[::2], counts[1::2], strict=True))
