"""What each queue did of late, added up from rollups: its pace, failures, waits and recent depths."""

from __future__ import annotations

import dataclasses
from collections import Counter

from django.db.models import Max

from pleme_redis_django.dashboard import histogram
from pleme_redis_django.dashboard.figures import SPARK_POINTS
from pleme_redis_django.dashboard.histogram import Histogram
from pleme_redis_django.dashboard.rollups import FINEST, RollupStore, floor
from pleme_redis_django.dashboard.tally import QueueKey

MINUTE = 60
PACE_SECONDS = 600
FAILED_SECONDS = 3600


@dataclasses.dataclass(slots=True, kw_only=True)
class Window:
    """One queue of one product."""

    done: int = 0
    """Jobs that came to an end in the last ten minutes, by whole minutes."""
    failed: int = 0
    """Jobs that ended FAILED in the last hour, by whole minutes."""
    waits: Histogram = dataclasses.field(default_factory=Counter)
    """Of the last ten minutes."""
    depths: dict[int, int] = dataclasses.field(default_factory=dict)
    """Minute -> the most ready jobs in it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Every queue that had something to do in the last hour, and which minutes were measured at all."""

    queues: dict[QueueKey, Window]
    minutes: frozenset[int]
    pace_minutes: float
    """How long ``done`` took: ten minutes, or since the first measurement."""

    def spark(self, window: Window, now: float) -> list[int | None]:
        """Return the depths of the last minutes, oldest first, None where nothing was measured."""
        last = floor(now, MINUTE)
        minutes = range(last - MINUTE * (SPARK_POINTS - 1), last + MINUTE, MINUTE)
        return [window.depths.get(at, 0) if at in self.minutes else None for at in minutes]


def read_windows(store: RollupStore, now: float) -> Windows:
    """Return the windows that end now; five queries."""
    since = floor(now - FAILED_SECONDS, MINUTE)
    pace_since = floor(now - PACE_SECONDS, MINUTE)
    open_since = _first_open_minute(store, since)
    parts = ((MINUTE, since), (FINEST, open_since))
    queues: dict[QueueKey, Window] = {}
    minutes: set[int] = set()
    for step, begin in parts:
        counts = store.rows(step).filter(started_at__gte=begin).values_list(*_COUNTS)
        for product, name, started_at, completed, failed, cancelled, ready in counts:
            minute = floor(started_at, MINUTE)
            if not name:
                minutes.add(minute)
                continue
            window = queues.get((product, name))
            if window is None:
                window = queues[product, name] = Window()
            window.failed += failed
            window.depths[minute] = max(window.depths.get(minute, 0), ready)
            if minute >= pace_since:
                window.done += completed + failed + cancelled
        waits = store.rows(step).filter(started_at__gte=max(begin, pace_since)).exclude(queue_name="")
        for product, name, stored in waits.values_list("product", "queue_name", "waits"):
            queues[product, name].waits.update(histogram.from_json(stored))
    began = max(min(minutes, default=pace_since), pace_since)
    return Windows(queues=queues, minutes=frozenset(minutes), pace_minutes=max(now - began, MINUTE) / MINUTE)


_COUNTS = ("product", "queue_name", "started_at", "completed", "failed", "cancelled", "ready")


def _first_open_minute(store: RollupStore, since: int) -> int:
    """Return the first minute that has no rollup yet: it is read from the finest steps."""
    everything = {"product": "", "queue_name": ""}
    last = store.rows(MINUTE).filter(**everything).aggregate(at=Max("started_at"))["at"]
    return since if last is None else max(int(last) + MINUTE, since)
