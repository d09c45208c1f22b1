"""Hits, misses and bytes per product: counted in this process, added to Redis in batches."""

from __future__ import annotations

import dataclasses
import threading
import time

FLUSH_SECONDS = 10.0
FLUSH_COUNT = 1000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """What all processes have done with a product's cache, as far as they have reported it."""

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
    """The counts of one product that are not in Redis yet. Thread-safe.

    ``read`` and ``written`` return whether to report now: enough was counted, or enough time has passed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._start_again()

    def read(self, *, hits: int, misses: int, size_bytes: int) -> bool:
        with self._lock:
            self._hits += hits
            self._misses += misses
            self._bytes_read += size_bytes
            return self._is_due()

    def written(self, *, entries: int, size_bytes: int) -> bool:
        with self._lock:
            self._writes += entries
            self._bytes_written += size_bytes
            return self._is_due()

    def _is_due(self) -> bool:
        self._operations += 1
        return self._operations >= FLUSH_COUNT or time.monotonic() > self._due_at

    def _start_again(self) -> None:
        self._hits = self._misses = self._writes = self._bytes_read = self._bytes_written = 0
        self._operations, self._due_at = 0, time.monotonic() + FLUSH_SECONDS

    def take(self) -> dict[str, int]:
        """Return what was counted since the last time, and start again."""
        with self._lock:
            counts = {
                "hits": self._hits,
                "misses": self._misses,
                "writes": self._writes,
                "bytes_read": self._bytes_read,
                "bytes_written": self._bytes_written,
            }
            self._start_again()
        return {name: number for name, number in counts.items() if number}

    def put_back(self, taken: dict[str, int]) -> None:
        """Count again what could not be reported."""
        with self._lock:
            self._hits += taken.get("hits", 0)
            self._misses += taken.get("misses", 0)
            self._writes += taken.get("writes", 0)
            self._bytes_read += taken.get("bytes_read", 0)
            self._bytes_written += taken.get("bytes_written", 0)


_counts: dict[tuple[str, str], Counts] = {}


def counts_of(alias: str, product: str) -> Counts:
    """Return this process's counts of a product's cache."""
    return _counts.setdefault((alias, product), Counts())
