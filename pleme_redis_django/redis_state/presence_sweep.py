"""Removes whoever's time is over from every product that has presence, and so announces that they left.

One process of all, web or worker, has the turn and sweeps; the others ask now and then whether it still
does. Two that sweep at once do no harm: the script that removes a connection tells of it, so nobody leaves
twice. Web processes sweep on the clock of their hub, and worker processes too, so that the users of web
processes that all died leave as well.
"""

from __future__ import annotations

import itertools
import logging
import random
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from pleme_redis_django.exceptions import RedisUnavailable
from pleme_redis_django.redis_state import keyspace
from pleme_redis_django.redis_state.connections import async_redis_client, redis_client
from pleme_redis_django.redis_state.outages import outages_as_unavailable
from pleme_redis_django.redis_state.presence import SWEEP_BATCH, PresenceManager
from pleme_redis_django.redis_state.presence_changes import PresenceResult
from pleme_redis_django.redis_state.scripts import Argument, script

SWEEP_SECONDS = 1.0
PRODUCTS_SECONDS = 5.0
"""How often the sweeper looks for products of which it knows nothing itself."""
FORGET_PRODUCT_SECONDS = 24 * 3600
TURN_SECONDS = 5.0
"""How long a sweeper that says nothing keeps its turn."""
PRODUCTS_PER_CALL = 100
SCOPES_PER_LOOK = 100
MOST_LOOKS, MOST_BATCHES = 20, 100
"""Bounds of one sweep of a product: 2,000 rooms, and of each 10,000 connections. The rest a second later."""

logger = logging.getLogger("pleme_redis_django.presence_sweep")


class PresenceSweeper:
    """Sweeps every product while it is ``holder``'s turn; not for several threads or loops."""

    def __init__(self, holder: str) -> None:
        self._holder = holder
        self._products: list[str] = []
        self._list_at = 0.0

    def step(self) -> float:
        """Sweep, if it is this process's turn; return after how many seconds to call again.

        One round trip for the turn, one for each hundred products, and some for each in which somebody's time is
        over. What fails for one product is logged. Raises RedisUnavailable.
        """
        if not script("take_turn").run(redis_client(), [keyspace.presence_turn()], self._turn):
            return _seconds_without_a_turn()
        if time.monotonic() >= self._list_at:
            self._products = list_products()
            self._list_at = time.monotonic() + PRODUCTS_SECONDS
        for batch in _batches(self._products):
            for product in _due_products(batch):
                with _logged("product", product):
                    sweep_product(product)
        return _seconds_with_the_turn()

    async def astep(self, own: Iterable[str] = ()) -> float:
        """Do what ``step`` does, on the running event loop; ``own`` are products that the caller knows."""
        if not await script("take_turn").arun(async_redis_client(), [keyspace.presence_turn()], self._turn):
            return _seconds_without_a_turn()
        if time.monotonic() >= self._list_at:
            self._products = await alist_products()
            self._list_at = time.monotonic() + PRODUCTS_SECONDS
        for batch in _batches(dict.fromkeys([*own, *self._products])):
            for product in await _adue_products(batch):
                with _logged("product", product):
                    await asweep_product(product)
        return _seconds_with_the_turn()

    def grow_older(self, seconds: float) -> None:
        """Let the timers be ``seconds`` further on."""
        self._list_at -= seconds

    @property
    def _turn(self) -> tuple[str, int]:
        return self._holder, int(TURN_SECONDS * 1000)


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


def _due_products(products: list[str]) -> list[str]:
    """Return the products in which something is due; also one that cannot be asked, which will say why."""
    pipeline = redis_client().pipeline(transaction=False)
    for product in products:
        script("presence_due").queue(pipeline, *_due(product))
    with outages_as_unavailable():
        replies = pipeline.execute(raise_on_error=False)
    return [product for product, found in zip(products, replies, strict=True) if found]


async def _adue_products(products: list[str]) -> list[str]:
    """Do what ``_due_products`` does, on the running event loop."""
    pipeline = async_redis_client().pipeline(transaction=False)
    for product in products:
        script("presence_due").queue(pipeline, *_due(product))
    with outages_as_unavailable():
        replies = await pipeline.execute(raise_on_error=False)
    return [product for product, found in zip(products, replies, strict=True) if found]


def sweep_product(product: str) -> int:
    """Remove whoever expired in a product and its rooms; return how many users became visible as gone."""
    left, swept = 0, set[bytes]()
    for _ in range(MOST_LOOKS):
        found: list[bytes] = script("presence_due").run(redis_client(), *_due(product))
        for manager in _managers(product, found, swept):
            with _logged("presence", manager):
                left += _sweep_scope(manager)
        if _is_done(found, swept):
            break
    return left


async def asweep_product(product: str) -> int:
    """Do what ``sweep_product`` does, on the running event loop."""
    left, swept = 0, set[bytes]()
    for _ in range(MOST_LOOKS):
        found: list[bytes] = await script("presence_due").arun(async_redis_client(), *_due(product))
        for manager in _managers(product, found, swept):
            with _logged("presence", manager):
                left += await _asweep_scope(manager)
        if _is_done(found, swept):
            break
    return left


def _sweep_scope(manager: PresenceManager) -> int:
    left = 0
    for _ in range(MOST_BATCHES):
        result = manager.sweep()
        left += _count_left(result)
        if result.removed < SWEEP_BATCH:
            break
    return left


async def _asweep_scope(manager: PresenceManager) -> int:
    left = 0
    for _ in range(MOST_BATCHES):
        result = await manager.asweep()
        left += _count_left(result)
        if result.removed < SWEEP_BATCH:
            break
    return left


def _batches(products: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(products)
    while batch := list(itertools.islice(rest, PRODUCTS_PER_CALL)):
        yield batch


def _due(product: str) -> tuple[list[str], list[Argument]]:
    return [keyspace.presence_due(product)], [SCOPES_PER_LOOK]


def _managers(product: str, found: list[bytes], swept: set[bytes]) -> Iterator[PresenceManager]:
    for scope in found:
        if scope not in swept:
            yield PresenceManager(product, scope.decode() or None)


def _is_done(found: list[bytes], swept: set[bytes]) -> bool:
    """Tell whether there is nothing more to look at: a scope that could not be swept is found again."""
    is_news = not swept.issuperset(found)
    swept.update(found)
    return len(found) < SCOPES_PER_LOOK or not is_news


@contextmanager
def _logged(what: str, name: object) -> Iterator[None]:
    """Log what fails for one product or scope, so that the others get their turn; an outage is for all."""
    try:
        yield
    except RedisUnavailable:
        raise
    except Exception:
        logger.exception("The %s %s could not be swept.", what, name)


def _seconds_with_the_turn() -> float:
    return SWEEP_SECONDS * random.uniform(0.8, 1.2)  # noqa: S311 - jitter


def _seconds_without_a_turn() -> float:
    return TURN_SECONDS * random.uniform(0.4, 0.6)  # noqa: S311 - jitter


def _count_left(result: PresenceResult) -> int:
    return sum(change.kind == "offline" for change in result.changes)


def _forgotten() -> float:
    return time.time() - FORGET_PRODUCT_SECONDS


def _decoded(names: Any) -> list[str]:
    return [name.decode() for name in names]
