"""The last minutes of each queue, added up from rollups: its pace, failures, waits and recent depths."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping

from django.db.models import F, Max, Min, Q, Sum

from pleme_redis_django.metrics import histogram
from pleme_redis_django.metrics.histogram import Histogram
from pleme_redis_django.metrics.rollups import FINEST, RollupStore, floor
from pleme_redis_django.metrics.tally import QueueKey

MINUTE, HOUR = 60, 3600
LATE_SECONDS = 600
# The pace is that of this time: after a deploy or a resume, ten minutes would show the time before it.
PACE_SECONDS = 120
FAILED_SECONDS = 3600
SPARK_POINTS = 30
"""Minutes of depths."""


@dataclasses.dataclass(slots=True, kw_only=True)
class QueueActivity:
    """What one queue of one product did of late."""

    done: int = 0
    """Jobs that came to an end in the last ten minutes, by whole minutes."""
    failed: int = 0
    """Jobs that ended FAILED in the last hour, by whole minutes."""
    failed_of_late: int = 0
    """Those of ``done`` that ended FAILED."""
    waits: Histogram = dataclasses.field(default_factory=Counter)
    """Of the last ten minutes; ``runs`` alike."""
    runs: Histogram = dataclasses.field(default_factory=Counter)
    depths: dict[int, int] = dataclasses.field(default_factory=dict)
    """Minute -> the most ready jobs in it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LatestActivity:
    """What one queue did in the last two minutes."""

    ended: int
    since: int
    """The first step in which it had anything to do."""
    depths: Mapping[int, int]
    """Step -> ready jobs, of the steps to compare with."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RecentActivity:
    """Every queue that had something to do in the last hour, and which minutes were measured at all."""

    queues: dict[QueueKey, QueueActivity]
    minutes: frozenset[int]
    latest: Mapping[QueueKey, LatestActivity]
    compared: tuple[int, ...]
    """Steps that were measured about two minutes and one minute ago."""

    def trend(self, key: QueueKey, ready: int, now: float) -> tuple[float, float | None]:
        """Return how many jobs end a minute, and by how many the ready ones grow (None: not known yet).

        It grows, or shrinks, when it has done so over two minutes and over the last one.
        """
        latest = self.latest.get(key)
        since = now if latest is None else max(latest.since, now - PACE_SECONDS)
        pace = 0.0 if latest is None else latest.ended * MINUTE / max(now - since, MINUTE)
        growths: list[float] = [
            (ready - (latest.depths.get(at, 0) if latest else 0)) * MINUTE / (now - at - FINEST / 2)
            for at in self.compared
        ]
        if not growths:
            return round(pace, 2), None
        if min(growths) <= 0 <= max(growths):
            return round(pace, 2), 0.0
        nearest: float = min(growths, key=abs)
        return round(pace, 2), round(nearest, 2)

    def spark(self, activity: QueueActivity, now: float) -> list[int | None]:
        """Return the depths of the last minutes, oldest first, None where nothing was measured."""
        last = floor(now, MINUTE)
        minutes = range(last - MINUTE * (SPARK_POINTS - 1), last + MINUTE, MINUTE)
        return [activity.depths.get(at, 0) if at in self.minutes else None for at in minutes]


def read_usual(store: RollupStore) -> dict[QueueKey, tuple[int, int]]:
    """Return how many jobs of each queue ended in the hours that are kept, and how many FAILED; one query."""
    hours = store.rows(HOUR).exclude(queue_name="").order_by().values_list("product", "queue_name")
    counted = hours.annotate(ended=Sum(F("completed") + F("failed") + F("cancelled")), bad=Sum("failed"))
    return {(product, name): (ended, bad) for product, name, ended, bad in counted}


def read_recent(store: RollupStore, now: float) -> RecentActivity:
    """Return what the queues did in the hour that ends now; seven queries."""
    since = floor(now - FAILED_SECONDS, MINUTE)
    late_since = floor(now - LATE_SECONDS, MINUTE)
    open_since = _first_open_minute(store, since)
    parts = ((MINUTE, since), (FINEST, open_since))
    queues: dict[QueueKey, QueueActivity] = {}
    minutes: set[int] = set()
    for step, begin in parts:
        counts = store.rows(step).filter(started_at__gte=begin).values_list(*_COUNTS)
        for product, name, started_at, completed, failed, cancelled, ready in counts:
            minute = floor(started_at, MINUTE)
            if not name:
                minutes.add(minute)
                continue
            activity = queues.get((product, name))
            if activity is None:
                activity = queues[product, name] = QueueActivity()
            activity.failed += failed
            activity.depths[minute] = max(activity.depths.get(minute, 0), ready)
            if minute >= late_since:
                activity.done += completed + failed + cancelled
                activity.failed_of_late += failed
        waits = store.rows(step).filter(started_at__gte=max(begin, late_since)).exclude(queue_name="")
        for product, name, waited, ran in waits.values_list("product", "queue_name", "waits", "runs"):
            queues[product, name].waits.update(histogram.from_json(waited))
            queues[product, name].runs.update(histogram.from_json(ran))
    compared = _steps_to_compare(store, now)
    latest = _latest(store, compared, now)
    return RecentActivity(queues=queues, minutes=frozenset(minutes), latest=latest, compared=compared)


def _steps_to_compare(store: RollupStore, now: float) -> tuple[int, ...]:
    """Return the measured steps nearest to two minutes ago and to one; none before a minute was measured."""
    everything = {"product": "", "queue_name": ""}
    steps = store.rows(FINEST).filter(started_at__gte=floor(now - PACE_SECONDS, FINEST), **everything)
    measured = sorted(at for at in steps.values_list("started_at", flat=True) if at <= now - MINUTE)
    return tuple(dict.fromkeys((measured[0], measured[-1]))) if measured else ()


def _latest(store: RollupStore, compared: tuple[int, ...], now: float) -> dict[QueueKey, LatestActivity]:
    rows = store.rows(FINEST).filter(started_at__gte=floor(now - PACE_SECONDS, FINEST)).exclude(queue_name="")
    depths = {f"ready_at_{at}": Max("ready", filter=Q(started_at=at)) for at in compared}
    found = (
        rows.order_by()
        .values_list("product", "queue_name")
        .annotate(ended=Sum(F("completed") + F("failed") + F("cancelled")), since=Min("started_at"), **depths)
    )
    return {
        (product, name): LatestActivity(
            ended=ended,
            since=since,
            depths={at: ready or 0 for at, ready in zip(compared, then, strict=True)},
        )
        for product, name, ended, since, *then in found
    }


_COUNTS = ("product", "queue_name", "started_at", "completed", "failed", "cancelled", "ready")


def _first_open_minute(store: RollupStore, since: int) -> int:
    """Return the first minute that has no rollup yet: it is read from the finest steps."""
    everything = {"product": "", "queue_name": ""}
    last = store.rows(MINUTE).filter(**everything).aggregate(at=Max("started_at"))["at"]
    return since if last is None else max(int(last) + MINUTE, since)
