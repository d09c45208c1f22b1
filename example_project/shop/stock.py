"""Reserving prints: a lock for each item keeps customers in turn, a fence in its row keeps the count right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from django.db.models import F

from example_project.shop.models import CatalogItem
from pleme_redis_django import LockManager

LOCK_SECONDS = 30
WAIT_SECONDS = 10


class OutOfStock(Exception):
    """There are not as many prints of an item as a customer wants."""


class Reservation:
    """The items of one order, locked; ``take()`` runs in the transaction that stores the order."""

    def __init__(self, codes: list[str], locks: ExitStack) -> None:
        self._wanted = Counter(codes)
        manager = LockManager()
        # In one order for all customers, or two of them could wait for each other.
        self._guards = {
            code: locks.enter_context(manager.lock(f"stock:{code}", LOCK_SECONDS, WAIT_SECONDS))
            for code in sorted(self._wanted)
        }

    def take(self) -> None:
        """Take the prints off the shelf.

        Raises OutOfStock, or LockLost when a lock expired and somebody else has taken prints since.
        """
        for code, guard in self._guards.items():
            enough = CatalogItem.objects.filter(code=code, stock__gte=self._wanted[code])
            if not guard.update(enough, stock=F("stock") - self._wanted[code]):
                raise OutOfStock(f"Fewer than {self._wanted[code]} prints of {code} are left.")


@contextmanager
def reserve(codes: list[str]) -> Iterator[Reservation]:
    """Lock the items while the block runs: commit inside of it, so that the next customer sees the count."""
    with ExitStack() as locks:
        yield Reservation(codes, locks)
