"""What the sampler knows of the queues' activity, read again once it is old enough to have changed."""

from __future__ import annotations

from pleme_redis_django.metrics.recent import RecentActivity, read_recent, read_usual
from pleme_redis_django.metrics.rollups import RollupStore
from pleme_redis_django.metrics.tally import QueueKey

RECENT_SECONDS = 5.0
# What is usual changes when an hour is over.
USUAL_SECONDS = 600.0


class KnownActivity:
    """Not for several threads. Times are those of the database, in Unix seconds."""

    def __init__(self, store: RollupStore) -> None:
        self._store = store
        self._recent: RecentActivity | None = None
        self._recent_at = 0.0
        self._usual: dict[QueueKey, tuple[int, int]] = {}
        self._usual_at = 0.0

    def recent(self, now: float) -> RecentActivity:
        """Return the last hour, a little old while somebody watches: workers count no sooner either."""
        if self._recent is None or now - self._recent_at >= RECENT_SECONDS:
            self._recent = read_recent(self._store, now)
            self._recent_at = now
        return self._recent

    def usual(self, now: float) -> dict[QueueKey, tuple[int, int]]:
        """Return how many jobs of each queue ended in the hours that are kept, and how many of them failed."""
        if now - self._usual_at >= USUAL_SECONDS:
            self._usual, self._usual_at = read_usual(self._store), now
        return self._usual

    def forget_recent(self) -> None:
        """Forget the last hour, so that the next call reads it again: another process takes over in the meantime."""
        self._recent = None
