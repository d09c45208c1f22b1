"""Sampler: the one worker process that measures the queues of a job table and keeps the rollups.

Each turn begins by renewing the election, in the transaction that takes what workers counted: the row of
the election keeps two processes from writing at once, which a term that is only remembered does not.
Counting the backlog may take long or fail, so it is done outside of every transaction, no sooner than
``QueueSample.next_measure_at`` allows whichever process is elected, and what workers have counted is taken
all the same.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import Any

from django.db.models.functions import Now

from pleme_redis_django.metrics import histogram, tally
from pleme_redis_django.metrics.depths import Depth, measure_depths
from pleme_redis_django.metrics.known_activity import KnownActivity
from pleme_redis_django.metrics.recent import QueueActivity, RecentActivity
from pleme_redis_django.metrics.rollups import FINEST, SETTLE_SECONDS, RollupStore, floor
from pleme_redis_django.metrics.tally import QueueKey, Tally, with_totals
from pleme_redis_django.models import AbstractJob, QueueSample, WorkerTally, model_label
from pleme_redis_django.orm_store.connection import reconnecting, writing
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.worker_registry import OrmWorkerRegistry

SAMPLER_ROLE = "sampler"
INTERVAL_SECONDS = 10.0
WATCHED_INTERVAL_SECONDS = 2.0
# Nothing to do and nobody to look: an idle cluster should cost the database almost nothing.
IDLE_INTERVAL_SECONDS = 20.0
# Viewers leave their mark at most every ten seconds.
WATCHED_FOR = timedelta(seconds=25)
TERM_SECONDS = 30.0
# How often each other process asks whether it has become the sampler.
CANDIDATE_INTERVAL_SECONDS = 20.0
# However large the backlog, counting it takes at most a twentieth of the time, of all processes together.
BUSY_SHARE = 0.05
# A count that died with its process is repeated after this time.
RESERVED_SECONDS = 60.0
# A beat may come a little early; a second count within this time is none too many.
EARLY_SECONDS = 1.0
# When all of the backlog cannot be counted in the time that the database allows.
CAPPED_ROWS = 200_000
# After a longer time it is unknown what the depths were in between.
HELD_FOR_SECONDS = 60
TALLIES_A_TURN = 1_000


class Sampler:
    """Not for several threads."""

    def __init__(
        self,
        model: type[AbstractJob],
        registry: OrmWorkerRegistry,
        worker_id: Callable[[], str],
        *,
        using: str,
    ) -> None:
        self._model = model
        self._registry = registry
        self._worker_id = worker_id
        self._using = using
        self._label = model_label(model)
        self._store = RollupStore(job_model=self._label, using=using)
        self._known = KnownActivity(self._store)
        self._rolled_up_at = 0
        self._held: _Held | None = None
        """None: this process was not the sampler at its last turn."""
        self._row_limit: int | None = None

    def turn(self, *, is_last: bool = False) -> float:
        """Do what is due if this process is the sampler; return after how many seconds to ask again.

        ``is_last``: there may be no later turn, so measure a little sooner than is due.
        """
        began = time.monotonic()
        with reconnecting(self._using):
            with writing(self._using):
                if not self._is_elected():
                    self._held = None
                    self._known.forget_recent()
                    return CANDIDATE_INTERVAL_SECONDS
                sample, now = self._sample()
                due_in = 0.0 if sample.next_measure_at is None else sample.next_measure_at.timestamp() - now
                if due_in > (IDLE_INTERVAL_SECONDS if is_last else EARLY_SECONDS):
                    self._store_counts(now, None)
                    return min(due_in, self._longest_interval())
                self._put_off(RESERVED_SECONDS)
            try:
                depths = measure_depths(JobTable(self._model, self._using), limit=self._row_limit)
            except Exception:
                self._failed_after(time.monotonic() - began)
                raise
            return self._store_measurement(sample, depths, began)

    def _store_measurement(self, sample: QueueSample, depths: dict[QueueKey, Depth], began: float) -> float:
        """Write what was counted; return after how many seconds to ask again."""
        with writing(self._using):
            is_elected = self._is_elected()
            _row, now = self._sample()
            if is_elected:
                self._store_counts(now, depths)
            sample.queues = self._figures(depths, now)
            sample.measured_at = Now()
            is_watched = (
                sample.watched_at is not None and now - sample.watched_at.timestamp() < WATCHED_FOR.seconds
            )
            interval = max(
                WATCHED_INTERVAL_SECONDS if is_watched else self._longest_interval(),
                (time.monotonic() - began) / BUSY_SHARE,
            )
            # Counted from the beginning of the turn: the beat is the same however long a turn takes.
            ahead = max(interval - (time.monotonic() - began), 0.0)
            sample.next_measure_at = Now() + timedelta(seconds=ahead)
            sample.save(using=self._using, update_fields=["measured_at", "next_measure_at", "queues"])
        # Between two measurements of a large backlog, what workers count is taken.
        return min(interval, self._longest_interval())

    def _is_elected(self) -> bool:
        return self._registry.elect(f"{SAMPLER_ROLE}:{self._label}", self._worker_id(), TERM_SECONDS)

    def _longest_interval(self) -> float:
        is_idle = self._held is not None and not self._held.depths and self._held.is_idle
        return IDLE_INTERVAL_SECONDS if is_idle else INTERVAL_SECONDS

    def _put_off(self, seconds: float) -> None:
        rows = QueueSample._base_manager.using(self._using).filter(job_model=self._label)
        rows.update(next_measure_at=Now() + timedelta(seconds=seconds))

    def _failed_after(self, took: float) -> None:
        """Let no process repeat at once what did not come to its end, and count less the next time."""
        is_first = self._row_limit is None
        self._row_limit = CAPPED_ROWS
        with writing(self._using):
            if self._is_elected():
                _row, now = self._sample()
                self._store_counts(now, None)
                # The capped count takes a moment: it need not wait for as long as the other one took.
                self._put_off(INTERVAL_SECONDS if is_first else max(INTERVAL_SECONDS, took / BUSY_SHARE))

    def _sample(self) -> tuple[QueueSample, float]:
        """Return the row of the newest measurement, and the time of the database in Unix seconds."""
        rows = QueueSample._base_manager.using(self._using)
        found: Any = rows.annotate(now=Now()).defer("queues").filter(job_model=self._label)
        row = found.first()
        if row is None:
            rows.bulk_create([QueueSample(job_model=self._label)], ignore_conflicts=True)
            row = found.get()
        return row, row.now.timestamp()

    def _store_counts(self, now: float, measured: dict[QueueKey, Depth] | None) -> None:
        """Take what workers counted, and write it with the depths: those measured now, or the last ones."""
        this_step = floor(now, FINEST)
        steps: dict[int, dict[QueueKey, Tally]] = {this_step: {}}
        # What comes later than its minute was closed counts in the first one that is open.
        first_open = floor(now - SETTLE_SECONDS, 60)
        for counted_at, tallies in self._take_tallies():
            step = steps.setdefault(max(floor(counted_at, FINEST), first_open), {})
            for key, counted in tallies.items():
                step.setdefault(key, Tally()).add(counted)
        is_idle = steps == {this_step: {}}
        held = self._held
        if held is not None and this_step - held.step <= HELD_FOR_SECONDS:
            # The depths are known to the step before this one: a chart has no gap there.
            for at in range(max(held.step + FINEST, first_open), this_step, FINEST):
                _add_depths(steps.setdefault(at, {}), held.depths)
        depths = measured if measured is not None else held.depths if held is not None else {}
        _add_depths(steps[this_step], depths)
        self._held = _Held(step=this_step, depths=depths, is_idle=is_idle)
        self._store.add(
            {
                (started_at, key): total
                for started_at, tallies in steps.items()
                for key, total in with_totals(tallies).items()
            }
        )
        self._keep_rollups(now)

    def _take_tallies(self) -> list[tuple[float, dict[QueueKey, Tally]]]:
        rows = WorkerTally._base_manager.using(self._using)
        taken = list(rows.filter(job_model=self._label).order_by("id")[:TALLIES_A_TURN])
        if taken:
            rows.filter(id__in=[row.pk for row in taken]).delete()
        return [(row.counted_at.timestamp(), tally.from_json(row.queues)) for row in taken]

    def _keep_rollups(self, now: float) -> None:
        if (minute := floor(now - SETTLE_SECONDS, 60)) != self._rolled_up_at:
            self._store.roll_up(now)
            self._store.prune(now)
            self._rolled_up_at = minute

    def _figures(self, depths: Mapping[QueueKey, Depth], now: float) -> list[dict[str, Any]]:
        recent, usual = self._known.recent(now), self._known.usual(now)
        is_capped = self._row_limit is not None and _is_at_limit(depths.values(), self._row_limit)
        if not is_capped:
            # The backlog is small again: the next count is of all of it.
            self._row_limit = None
        return [
            _queue(key, depths.get(key, Depth()), recent.queues.get(key, QueueActivity()), recent, now)
            | dict(zip(("ended_usually", "failed_usually"), usual.get(key, (0, 0)), strict=True))
            | {"is_capped": is_capped}
            for key in sorted(depths.keys() | recent.queues.keys())
        ]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """What was measured last, and up to which step it is written."""

    step: int
    depths: Mapping[QueueKey, Depth]
    is_idle: bool
    """Whether nothing had ended."""


def _add_depths(step: dict[QueueKey, Tally], depths: Mapping[QueueKey, Depth]) -> None:
    for key, depth in depths.items():
        if depth.ready or depth.running or depth.blocked:
            measured = Tally(ready=depth.ready, running=depth.running, blocked=depth.blocked)
            step.setdefault(key, Tally()).add(measured)


def _is_at_limit(depths: Collection[Depth], limit: int) -> bool:
    """Whether there may be more jobs of a kind than were counted."""
    most = max(
        sum(getattr(depth, kind) for depth in depths) for kind in ("ready", "blocked", "pending", "running")
    )
    return bool(most >= limit)


def _queue(
    key: QueueKey, depth: Depth, activity: QueueActivity, recent: RecentActivity, now: float
) -> dict[str, Any]:
    product, name = key
    pace, growth = recent.trend(key, depth.ready, now)
    return {
        "product": product,
        "queue": name,
        "ready": depth.ready,
        "blocked": depth.blocked,
        "pending": depth.pending,
        "running": depth.running,
        "oldest_ready_at": depth.oldest_ready_at and depth.oldest_ready_at.timestamp(),
        "oldest_running_at": depth.oldest_running_at and depth.oldest_running_at.timestamp(),
        "done_per_minute": pace,
        "growth_per_minute": growth,
        "failed_last_hour": activity.failed,
        "ended_of_late": activity.done,
        "failed_of_late": activity.failed_of_late,
        "wait_p95": histogram.percentile(activity.waits, 0.95),
        "run_p95": histogram.percentile(activity.runs, 0.95),
        "spark": recent.spark(activity, now),
    }
