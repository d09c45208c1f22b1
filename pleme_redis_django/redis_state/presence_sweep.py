"""Removes whoever's time is over from every product that has presence, and so announces that they left.

Any process may, at any time: the script that removes a connection tells of it, so nobody leaves twice.
Web processes sweep on the clock of their hub. Worker processes sweep too, one of them at a time, so that
the users of web processes that all died leave as well.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from typing import Any

from pleme_redis_django.redis_state import keyspace
from pleme_redis_django.redis_state.connections import async_redis_client, redis_client
from pleme_redis_django.redis_state.outages import outages_as_unavailable
from pleme_redis_django.redis_state.presence import SWEEP_BATCH, PresenceManager
from pleme_redis_django.redis_state.presence_changes import PresenceResult
from pleme_redis_django.redis_state.scripts import script

SWEEP_SECONDS = 1.0
PRODUCTS_SECONDS = 30.0
"""How often a process looks for products of which it knows nothing itself."""
FORGET_PRODUCT_SECONDS = 24 * 3600
TURN_SECONDS = 5.0
"""How long a sweeper that says nothing keeps its turn."""


class PresenceSweeper:
    """Sweeps every product while it is ``holder``'s turn; not for several threads. Needs no web process."""

    def __init__(self, holder: str) -> None:
        self._holder = holder
        self._products: list[str] = []
        self._list_at = 0.0

    def step(self) -> float:
        """Sweep, if it is this process's turn; return after how many seconds to call again.

        One call for the turn, and one for each product. Raises RedisUnavailable.
        """
        if not self._has_turn():
            return TURN_SECONDS * random.uniform(0.4, 0.6)  # noqa: S311 - jitter
        if time.monotonic() >= self._list_at:
            self._products = list_products()
            self._list_at = time.monotonic() + PRODUCTS_SECONDS
        for product in self._products:
            sweep_product(product)
        return SWEEP_SECONDS * random.uniform(0.8, 1.2)  # noqa: S311 - jitter

    def _has_turn(self) -> bool:
        arguments = (self._holder, int(TURN_SECONDS * 1000))
        return bool(script("take_turn").run(redis_client(), [keyspace.presence_turn()], arguments))


def list_products() -> list[str]:
    """Return the products that had presence within a day, and forget the others."""
    with outages_as_unavailable():
        redis_client().zremrangebyscore(keyspace.presence_products(), "-inf", _forgotten())
        return _decoded(redis_client().zrange(keyspace.presence_products(), 0, -1))


async def alist_products() -> list[str]:
    """Do what ``list_products`` does, on the running event loop."""
    client = async_redis_client()
    with outages_as_unavailable():
        await client.zremrangebyscore(keyspace.presence_products(), "-inf", _forgotten())
        return _decoded(await client.zrange(keyspace.presence_products(), 0, -1))


def sweep_product(product: str) -> int:
    """Remove whoever expired in a product and its rooms; return how many users became visible as gone."""
    scopes = script("presence_due").run(redis_client(), [keyspace.presence_due(product)])
    left = 0
    for manager in _managers(product, scopes):
        while True:
            result = manager.sweep()
            left += _count_left(result)
            if len(result.changes) < SWEEP_BATCH:
                break
    return left


async def asweep_product(product: str) -> int:
    """Do what ``sweep_product`` does, on the running event loop."""
    scopes = await script("presence_due").arun(async_redis_client(), [keyspace.presence_due(product)])
    left = 0
    for manager in _managers(product, scopes):
        while True:
            result = await manager.asweep()
            left += _count_left(result)
            if len(result.changes) < SWEEP_BATCH:
                break
    return left


def _managers(product: str, scopes: Iterable[bytes]) -> Iterable[PresenceManager]:
    return (PresenceManager(product, scope.decode() or None) for scope in scopes)


def _count_left(result: PresenceResult) -> int:
    return sum(change.kind == "offline" for change in result.changes)


def _forgotten() -> float:
    return time.time() - FORGET_PRODUCT_SECONDS


def _decoded(names: Any) -> list[str]:
    return [name.decode() for name in names]
