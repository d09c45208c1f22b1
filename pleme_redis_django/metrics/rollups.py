"""Rollups: tallies by step of time, in four resolutions, each kept as long as a chart can show it.

Steps of 10 s are written as they happen; of minutes, ten minutes and hours each is put together once,
when it is over, from the finer ones. There is one writer, the elected sampler.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from django.db.models import Max, Min, QuerySet

from pleme_redis_django.metrics import histogram
from pleme_redis_django.metrics.tally import QueueKey, Tally, tally_of
from pleme_redis_django.models import QueueRollup

FINEST = 10
KEPT_SECONDS = {10: 75 * 60, 60: 7 * 3600, 600: 26 * 3600, 3600: 8 * 24 * 3600}
"""Step -> for how long its rows are kept; a chart of 1 h, 6 h, 24 h or 7 d and some more."""
FINER = {60: 10, 600: 60, 3600: 600}
# What a worker counted may be written so much later; until then a step is open.
SETTLE_SECONDS = 20

StepKey = tuple[int, QueueKey]
"""When the step began, in Unix seconds, and whose it is."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RollupStore:
    """The rollups of one job model."""

    job_model: str
    using: str

    def rows(self, step_seconds: int) -> QuerySet[QueueRollup]:
        rows = QueueRollup._base_manager.using(self.using)
        return rows.filter(job_model=self.job_model, step_seconds=step_seconds)

    def add(self, tallies: Mapping[StepKey, Tally]) -> None:
        """Add tallies to the finest steps; two queries."""
        if not tallies:
            return
        starts = {started_at for started_at, _key in tallies}
        known = read(self.rows(FINEST).filter(started_at__in=starts))
        for key, tally in tallies.items():
            if key in known:
                tally.add(known[key])
        self._write(FINEST, tallies)

    def roll_up(self, now: float) -> None:
        """Put together every coarser step that is over and is not there yet."""
        for step, finer in FINER.items():
            end = floor(now - SETTLE_SECONDS, step)
            start = self._first_missing(step, finer)
            if start is not None and start < end:
                self._put_together(step, finer, start, end)

    def prune(self, now: float) -> None:
        """Delete rows that are older than their resolution is kept."""
        for step, kept in KEPT_SECONDS.items():
            self.rows(step).filter(started_at__lt=floor(now - kept, step)).delete()

    def _first_missing(self, step: int, finer: int) -> int | None:
        # The row of everything is written at every measurement, idle or not.
        everything = {"product": "", "queue_name": ""}
        last = self.rows(step).filter(**everything).aggregate(at=Max("started_at"))["at"]
        if last is not None:
            return int(last) + step
        first = self.rows(finer).filter(**everything).aggregate(at=Min("started_at"))["at"]
        return None if first is None else floor(first, step)

    def _put_together(self, step: int, finer: int, start: int, end: int) -> None:
        coarse: dict[StepKey, Tally] = {}
        found = read(self.rows(finer).filter(started_at__gte=start, started_at__lt=end))
        for (started_at, key), tally in found.items():
            coarse.setdefault((floor(started_at, step), key), Tally()).add(tally)
        self._write(step, coarse)

    def _write(self, step: int, tallies: Mapping[StepKey, Tally]) -> None:
        QueueRollup._base_manager.using(self.using).bulk_create(
            [self._row(step, key, tally) for key, tally in tallies.items()],
            batch_size=1_000,
            update_conflicts=True,
            unique_fields=["job_model", "step_seconds", "product", "queue_name", "started_at"],
            update_fields=list(_FIELDS),
        )

    def _row(self, step: int, key: StepKey, tally: Tally) -> QueueRollup:
        started_at, (product, queue_name) = key
        return QueueRollup(
            job_model=self.job_model,
            step_seconds=step,
            started_at=started_at,
            product=product,
            queue_name=queue_name,
            completed=tally.completed,
            retried=tally.retried,
            failed=tally.failed,
            cancelled=tally.cancelled,
            waits=histogram.to_json(tally.waits),
            runs=histogram.to_json(tally.runs),
            overlooked=tally.overlooked,
            ready=tally.ready,
            running=tally.running,
            blocked=tally.blocked,
        )


_FIELDS = (
    *("completed", "retried", "failed", "cancelled", "waits", "runs", "overlooked"),
    *("ready", "running", "blocked"),
)


def read(rows: QuerySet[QueueRollup]) -> dict[StepKey, Tally]:
    """Return what the rows hold; one query."""
    found = rows.values_list("started_at", "product", "queue_name", *_FIELDS)
    return {(started_at, (product, queue)): tally_of(values) for started_at, product, queue, *values in found}


def floor(seconds: float, step: int) -> int:
    """Return when the step began in which ``seconds`` lies."""
    return int(seconds // step) * step
