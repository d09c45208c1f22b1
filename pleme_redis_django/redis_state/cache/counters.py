"""Hits, misses and bytes per product: counted in this process, added to Redis in batches."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter

FLUSH_SECONDS = 10.0
FLUSH_COUNT = 1000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """What all processes did with a product's cache, as far as they have reported it."""

    hits: int = 0
    misses: int = 0
    writes: int = 0
    bytes_read: int = 0
    bytes_written: int = 0

    @property
    def hit_rate(self) -> float | None:
        """Hits as a fraction of reads; None before the first read."""
        reads = self.hits + self.misses
        return self.hits / reads if reads else None


class Counts:
    """The counts of one product that are not in Redis yet. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._operations = 0
        self._since = time.monotonic()

    def read(self, *, hits: int, misses: int, size_bytes: int) -> None:
        with self._lock:
            self._operations += 1
            self._counts["hits"] += hits
            self._counts["misses"] += misses
            self._counts["bytes_read"] += size_bytes

    def written(self, *, entries: int, size_bytes: int) -> None:
        with self._lock:
            self._operations += 1
            self._counts["writes"] += entries
            self._counts["bytes_written"] += size_bytes

    def due(self) -> bool:
        """Whether enough was counted, or long enough ago, to be worth a round trip."""
        return self._operations >= FLUSH_COUNT or (
            self._operations > 0 and time.monotonic() - self._since > FLUSH_SECONDS
        )

    def take(self) -> dict[str, int]:
        """Return what was counted since the last time, and start again."""
        with self._lock:
            taken = {name: number for name, number in self._counts.items() if number}
            self._counts.clear()
            self._operations, self._since = 0, time.monotonic()
        return taken

    def put_back(self, taken: dict[str, int]) -> None:
        """Count again what could not be reported."""
        with self._lock:
            self._counts.update(taken)


_counts: dict[tuple[str, str], Counts] = {}


def counts_of(alias: str, product: str) -> Counts:
    """Return this process's counts of a product's cache."""
    return _counts.setdefault((alias, product), Counts())
