"""Removes expired connections from every product that has presence, which announces that users have left.

One process of the cluster, web or worker, has the turn and sweeps; the others ask now and then whether it still does.
If two sweep at the same time, that does no harm: the script that removes a connection announces it, so nobody leaves
twice. Web processes sweep by the clock of their hub. Worker processes sweep too, so that users leave even if all web
processes have died.
"""

from __future__ import annotations

import itertools
import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from pleme_redis_django.exceptions import RedisUnavailable
from pleme_redis_django.redis_state.presence.manager import SWEEP_BATCH, PresenceManager
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.flows import Flow, arun, run
from pleme_redis_django.redis_state.server.redis_call import (
    PartialPipeline,
    RedisCall,
    RedisPipeline,
    as_texts,
    script_call,
)

SWEEP_SECONDS = 1.0
PRODUCTS_SECONDS = 5.0
"""How often the sweeper looks for products that it does not know itself."""
FORGET_PRODUCT_SECONDS = 24 * 3600
TURN_SECONDS = 5.0
"""How long a silent sweeper keeps its turn."""
PRODUCTS_PER_CALL = 100
SCOPES_PER_LOOK = 100
MOST_LOOKS, MOST_BATCHES = 20, 100
"""Bounds of one sweep of a product: 2,000 rooms, and of each 10,000 connections. The rest a second later."""

logger = logging.getLogger("pleme_redis_django.presence_sweep")


class PresenceSweeper:
    """Sweeps every product while it is ``holder``'s turn; for one thread or loop."""

    def __init__(self, holder: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._holder = holder
        self._clock = clock
        self._products: list[str] = []
        self._list_at = float("-inf")

    def step(self, own: Iterable[str] = ()) -> float:
        """Sweep, if it is this process's turn; return after how many seconds to call again.

        ``own``: products that the caller knows, in addition to those of the list.
        One round trip for the turn, one for each hundred products, and some for each product in which a connection
        has expired. What fails for one product is logged. Raises RedisUnavailable.
        """
        return run(self._step(own))

    async def astep(self, own: Iterable[str] = ()) -> float:
        return await arun(self._step(own))

    def _step(self, own: Iterable[str]) -> Flow[float]:
        turn = (self._holder, int(TURN_SECONDS * 1000))
        if not (yield script_call("turn_take", [keyspace.presence_turn()], turn)):
            return _seconds_without_a_turn()
        if self._clock() >= self._list_at:
            self._products = yield list_products()
            self._list_at = self._clock() + PRODUCTS_SECONDS
        for batch in _batches(dict.fromkeys([*own, *self._products])):
            for product in (yield _due_products(batch)):
                with _logged("product", product):
                    yield from sweep_product(product)
        return _seconds_with_the_turn()


def list_products() -> RedisPipeline[list[str]]:
    """Read the products that had presence within a day, and forget the others."""
    key, forgotten = keyspace.presence_products(), time.time() - FORGET_PRODUCT_SECONDS
    return RedisPipeline(
        (("ZREMRANGEBYSCORE", key, "-inf", forgotten), ("ZRANGE", key, 0, -1)),
        read=lambda replies: as_texts(replies[1]),
    )


def _due_products(products: list[str]) -> RedisPipeline[list[str]]:
    """Return the products in which something is due, and those that could not be asked: their sweep says why."""
    return PartialPipeline(
        tuple(_due(product).command for product in products),
        read=lambda replies: [product for product, due in zip(products, replies, strict=True) if due],
    )


def sweep_product(product: str) -> Flow[int]:
    """Remove expired connections of a product and its rooms; return how many users went offline."""
    left, swept = 0, set[bytes]()
    for _ in range(MOST_LOOKS):
        found: list[bytes] = yield _due(product)
        for manager in _managers(product, found, swept):
            with _logged("presence", manager):
                left += yield from _sweep_scope(manager)
        if _is_done(found, swept):
            break
    return left


def _sweep_scope(manager: PresenceManager) -> Flow[int]:
    left = 0
    for _ in range(MOST_BATCHES):
        result = yield from manager.sweeping()
        left += sum(change.kind == "offline" for change in result.changes)
        if result.removed < SWEEP_BATCH:
            break
    return left


def _batches(products: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(products)
    while batch := list(itertools.islice(rest, PRODUCTS_PER_CALL)):
        yield batch


def _due(product: str) -> RedisCall[list[bytes]]:
    return script_call("presence_find_due", [keyspace.presence_due(product)], [SCOPES_PER_LOOK])


def _managers(product: str, found: list[bytes], swept: set[bytes]) -> Iterator[PresenceManager]:
    for scope in found:
        if scope not in swept:
            yield PresenceManager(product, scope.decode() or None)


def _is_done(found: list[bytes], swept: set[bytes]) -> bool:
    """Return whether nothing is left to sweep: a scope that could not be swept is found again."""
    is_news = not swept.issuperset(found)
    swept.update(found)
    return len(found) < SCOPES_PER_LOOK or not is_news


@contextmanager
def _logged(what: str, name: object) -> Iterator[None]:
    """Log what fails for one product or scope, so that the others continue; an outage stops all."""
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
