"""NamingHints: hints that also say of which products and types the ready jobs are, for worker pools."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Sequence

from pleme_redis_django.jobs.interface.hints import ANY_TYPE, Hinted
from pleme_redis_django.redis_state.wakeups.redis_hints import RedisHints
from pleme_redis_django.redis_state.wakeups.waiting_hints import WaitingHints, named_by

# How late a peek notices that one queue has taken another's place; it sees at once that there are more.
PEEK_NAMES_SECONDS = 1.0
# A nudge for more types than this is for any, and of more products than this it names none.
MOST_TYPES = MOST_PRODUCTS = 10
# So many hints that come together are read where only their types matter.
MOST_READ = 20


class NamingHints(RedisHints):
    """RedisHints that keep what the hints say that are taken, and look at what those say that wait."""

    def __init__(
        self, queue_names: str | Sequence[str], queue_key: str, *, most_read: int | None = None
    ) -> None:
        """``most_read``: of more hints that come together it is not read what they say; None: it always is."""
        super().__init__(queue_names, queue_key)
        self._most_read = most_read
        self._named: set[Hinted] = set()
        self._waiting = WaitingHints()
        self._peeked_keys: list[str] = []
        self._peek_names_at = 0.0

    def take_named(self) -> frozenset[Hinted]:
        """Return what the hints say that were taken since the last call."""
        named, self._named = frozenset(self._named), set()
        return named

    def peek_named(self) -> frozenset[Hinted]:
        """Return what the hints say that came since the last call and wait. Raises redis.RedisError."""
        now = time.monotonic()
        if now >= self._peek_names_at:
            self._read_names(now)
        named = self._waiting.read(self._peeked_keys, self._names_key)
        if self.queue_names is None and self._waiting.queues != len(self._peeked_keys):
            self._read_names(now)
            named |= self._waiting.read(self._peeked_keys, self._names_key)
        return named

    def _read_names(self, now: float) -> None:
        self._peek_names_at = now + PEEK_NAMES_SECONDS
        self._peeked_keys = self._keys()[:-1]  # The last one has nudges alone.

    def nudge_for(self, job_types: Collection[str], products: Collection[str]) -> bool:
        """Wake one other worker that serves these queues, for jobs of these types and products.

        Returns False if Redis did not take it.
        """
        said: dict[str, list[str]] = {}
        if 0 < len(job_types) <= MOST_TYPES and ANY_TYPE not in job_types:
            said["job_types"] = sorted(job_types)
        if 0 < len(products) <= MOST_PRODUCTS:
            said["products"] = sorted(products)
        return self._nudge(json.dumps(said).encode()) if said else self.nudge()

    def _note_taken(self, elements: Sequence[bytes]) -> None:
        if self._most_read is not None and len(elements) > self._most_read:
            self._named.add(Hinted())
        else:
            self._named |= named_by(elements)
