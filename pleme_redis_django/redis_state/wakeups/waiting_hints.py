"""WaitingHints: of which products and types the jobs of the hints in some lists are, read without taking one.

A worker of a fair pool that is full leaves hints to those with room, and yet has to know of a product that
has come, whose turn is next. Each read asks for the newest hint of every list, and for more of those alone
that have another one than before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from pleme_redis_django.jobs.interface.hints import ANY_TYPE, Hinted
from pleme_redis_django.redis_state.server.connections import COMMANDS
from pleme_redis_django.redis_state.server.redis_call import redis_client

# Behind so many newer hints a product is found by the worker's next look at all of them.
NEWEST_HINTS = 200


class WaitingHints:
    """What was seen of each list; for one thread."""

    def __init__(self) -> None:
        self._newest: dict[str, bytes | None] = {}
        self.queues = 0
        """How many queues had hints at the last read."""

    def read(self, keys: Sequence[str], names_key: str) -> frozenset[Hinted]:
        """Return what the hints say that have come since the last read. Raises redis.RedisError.

        ``names_key``: where the names of all queues are.
        """
        client = redis_client(COMMANDS)
        heads = client.pipeline(transaction=False)
        for key in keys:
            heads.lindex(key, 0)
        heads.zcard(names_key)
        *newest, self.queues = heads.execute()
        changed = [key for key, first in zip(keys, newest, strict=True) if first != self._newest.get(key)]
        if not changed:
            return frozenset()
        lists = client.pipeline(transaction=False)
        for key in changed:
            lists.lrange(key, 0, NEWEST_HINTS - 1)
        found: set[Hinted] = set()
        for key, elements in zip(changed, lists.execute(), strict=True):
            found |= named_by(self._newer(key, elements))
        return frozenset(found)

    def _newer(self, key: str, elements: list[bytes]) -> list[bytes]:
        seen, self._newest[key] = self._newest.get(key), elements[0] if elements else None
        return elements[: elements.index(seen)] if seen in elements else elements


def named_by(elements: Iterable[Any]) -> set[Hinted]:
    """Return what some list elements say; a nudge names types, products, or nothing and so may be for any job."""
    named: set[Hinted] = set()
    for element in elements:
        named.update(_named_by(element))
    return named


def _named_by(element: bytes) -> Iterable[Hinted]:
    try:
        fields = json.loads(element)
        types = fields.get("job_types") or [fields.get("job_type", ANY_TYPE)]
        products = fields.get("products") or [fields.get("product", "")]
        return [Hinted(str(product), str(job_type)) for product in products for job_type in types]
    except (ValueError, AttributeError, TypeError, RecursionError):
        return (Hinted(),)
