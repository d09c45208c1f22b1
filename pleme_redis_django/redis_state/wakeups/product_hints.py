"""ProductHints: hints that also say of which products the ready jobs are, for the pools that share fairly."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pleme_redis_django.redis_state.wakeups.redis_hints import RedisHints
from pleme_redis_django.redis_state.wakeups.waiting_products import WaitingProducts, products_of

# How late a peek notices a queue that is new.
PEEK_NAMES_SECONDS = 1.0


class ProductHints(RedisHints):
    """RedisHints that keep the products of the hints that are taken, and look at those of the hints that wait."""

    def __init__(self, queue_names: str | Sequence[str], queue_key: str) -> None:
        super().__init__(queue_names, queue_key)
        self._products: set[str] = set()
        self._waiting = WaitingProducts()
        self._peeked_keys: list[str] = []
        self._peek_names_at = 0.0

    def take_products(self) -> frozenset[str]:
        """Return the products of the hints that were taken since the last call."""
        products, self._products = frozenset(self._products), set()
        return products

    def peek_products(self) -> frozenset[str]:
        """Return the products of the hints that came since the last call and wait. Raises redis.RedisError."""
        now = time.monotonic()
        if now >= self._peek_names_at:
            self._peek_names_at = now + PEEK_NAMES_SECONDS
            self._peeked_keys = self._keys()[:-1]  # The last one has nudges alone.
        return self._waiting.read(self._peeked_keys)

    def _note_taken(self, elements: Sequence[bytes]) -> None:
        self._products |= products_of(elements)
