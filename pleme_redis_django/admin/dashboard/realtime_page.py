"""What the realtime page shows: presence and cache of the products, and the held locks of one of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pleme_redis_django.access.product_scope import ProductScope
from pleme_redis_django.conf import get_settings
from pleme_redis_django.exceptions import RedisUnavailable

if TYPE_CHECKING:
    from pleme_redis_django.redis_state.cache.counters import CacheStats
    from pleme_redis_django.redis_state.locks.held import HeldLock

PRODUCTS_SHOWN = 100
LOCKS_SHOWN = 100


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProductFigures:
    """One product, as Redis knows it."""

    product: str
    users_online: int
    connections: int
    cache: CacheStats


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RealtimeState:
    """The state in Redis at one moment."""

    products: tuple[ProductFigures, ...] = ()
    product_count: int = 0
    locks_of: str = ""
    """The product whose locks these are; empty when there is none to look at."""
    locks: tuple[HeldLock, ...] = ()
    locks_are_capped: bool = False
    outage: str = ""
    """Why Redis did not answer; empty if it did."""


def realtime_state(scope: ProductScope, product: str | None) -> RealtimeState:
    """Return the state of the products in scope, and the locks of ``product`` (None: of the first one)."""
    try:
        return _read(scope, product)
    except RedisUnavailable as outage:
        return RealtimeState(outage=str(outage))


def _read(scope: ProductScope, product: str | None) -> RealtimeState:
    # Not at the top, here and below: an admin of jobs alone imports no redis.
    from pleme_redis_django.redis_state.locks.manager import LockManager

    names = _visible_products(scope, product)
    locks_of = product or next(iter(names), "")
    # One more than is shown tells whether there are more.
    locks = LockManager(locks_of).held_locks(limit=LOCKS_SHOWN + 1) if locks_of else []
    return RealtimeState(
        products=tuple(_product_figures(names[:PRODUCTS_SHOWN])),
        product_count=len(names),
        locks_of=locks_of,
        locks=tuple(locks[:LOCKS_SHOWN]),
        locks_are_capped=len(locks) > LOCKS_SHOWN,
    )


def _product_figures(names: Sequence[str]) -> Iterator[ProductFigures]:
    from pleme_redis_django.redis_state.cache.manager import CacheManager
    from pleme_redis_django.redis_state.presence.product_counts import online_counts

    for name, online in zip(names, online_counts(names), strict=True):
        yield ProductFigures(
            product=name,
            users_online=online.users,
            connections=online.connections,
            cache=CacheManager(name).stats(),
        )


def _visible_products(scope: ProductScope, chosen: str | None) -> list[str]:
    from pleme_redis_django.redis_state.presence.product_counts import products_with_presence

    known = {*products_with_presence(), *(scope.products or ()), chosen, get_settings().product}
    return sorted(name for name in known if name and scope.allows(name))
