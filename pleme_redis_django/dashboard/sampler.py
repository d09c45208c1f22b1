"""Sampler: the one worker process that measures the queues of a job table and keeps the rollups.

A turn is one transaction that begins by renewing the election, so that a process that was replaced
writes nothing: the row of the role is locked until the commit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from pleme_redis_django.dashboard import histogram, tally
from pleme_redis_django.dashboard.depths import Depth, measure_depths
from pleme_redis_django.dashboard.rollups import FINEST, SETTLE_SECONDS, RollupStore, StepKey, floor
from pleme_redis_django.dashboard.tally import QueueKey, Tally, with_totals
from pleme_redis_django.dashboard.windows import Window, Windows, read_windows
from pleme_redis_django.models import AbstractJob, QueueSample, WorkerTally, model_label
from pleme_redis_django.orm_store import OrmWorkerRegistry
from pleme_redis_django.orm_store.connection import reconnecting

SAMPLER_ROLE = "sampler"
INTERVAL_SECONDS = 10.0
WATCHED_INTERVAL_SECONDS = 2.0
# Nothing to do and nobody to look: what an idle cluster asks of the database shall be next to nothing.
IDLE_INTERVAL_SECONDS = 20.0
# Viewers leave their mark at most every ten seconds.
WATCHED_FOR = timedelta(seconds=25)
TERM_SECONDS = 30.0
# Each process that is not the sampler asks so often whether it has become it.
CANDIDATE_INTERVAL_SECONDS = 20.0
# However large the backlog, counting it takes at most a twentieth of the time.
BUSY_SHARE = 0.05
TALLIES_A_TURN = 1_000
WINDOWS_SECONDS = 5.0


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
        self._windows: Windows | None = None
        self._windows_at = 0.0
        self._rolled_up_at = 0
        self._idle_at: int | None = None
        """The step in which nothing was found to do, when that was the last measurement."""

    def turn(self) -> float:
        """Do what is due if this process is the sampler; return after how many seconds to ask again."""
        began = time.monotonic()
        with reconnecting(self._using), transaction.atomic(using=self._using):
            role = f"{SAMPLER_ROLE}:{self._label}"
            if not self._registry.elect(role, self._worker_id(), TERM_SECONDS):
                self._windows = self._idle_at = None
                return CANDIDATE_INTERVAL_SECONDS
            is_watched = self._measure()
        if is_watched:
            interval = WATCHED_INTERVAL_SECONDS
        else:
            interval = INTERVAL_SECONDS if self._idle_at is None else IDLE_INTERVAL_SECONDS
        return max(interval, (time.monotonic() - began) / BUSY_SHARE)

    def _measure(self) -> bool:
        sample, now = self._sample()
        depths = measure_depths(self._model, self._using)
        self._store.add(self._new_tallies(depths, now))
        self._keep_rollups(now)
        windows = self._current_windows(now)
        sample.queues = [
            _queue(key, depths.get(key, Depth()), windows.queues.get(key, Window()), windows, now)
            for key in sorted(depths.keys() | windows.queues.keys())
        ]
        sample.measured_at = Now()
        sample.save(using=self._using, update_fields=["measured_at", "queues"])
        return sample.watched_at is not None and now - sample.watched_at.timestamp() < WATCHED_FOR.seconds

    def _sample(self) -> tuple[QueueSample, float]:
        """Return the row of the newest measurement, and the time of the database in Unix seconds."""
        rows = QueueSample._base_manager.using(self._using)
        rows.bulk_create([QueueSample(job_model=self._label)], ignore_conflicts=True)
        row: Any = rows.annotate(now=Now()).defer("queues").get(job_model=self._label)
        return row, row.now.timestamp()

    def _new_tallies(self, depths: dict[QueueKey, Depth], now: float) -> dict[StepKey, Tally]:
        """Return what workers counted since the last turn and the depths, by step, with their totals."""
        this_step = floor(now, FINEST)
        steps: dict[int, dict[QueueKey, Tally]] = {this_step: {}}
        # What comes later than its minute was closed counts in the first one that is open.
        first_open = floor(now - SETTLE_SECONDS, 60)
        for counted_at, tallies in self._take_tallies():
            step = steps.setdefault(max(floor(counted_at, FINEST), first_open), {})
            for key, counted in tallies.items():
                step.setdefault(key, Tally()).add(counted)
        was_idle_at, is_idle = self._idle_at, not depths and steps == {this_step: {}}
        if is_idle and was_idle_at is not None:
            # Idle before and idle now: so it was between, too, and a chart has no gap there.
            steps |= {at: {} for at in range(max(was_idle_at, first_open), this_step, FINEST)}
        self._idle_at = this_step if is_idle else None
        for key, depth in depths.items():
            if depth.ready or depth.running:
                measured = Tally(ready=depth.ready, running=depth.running)
                steps[this_step].setdefault(key, Tally()).add(measured)
        return {
            (started_at, key): total
            for started_at, tallies in steps.items()
            for key, total in with_totals(tallies).items()
        }

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

    def _current_windows(self, now: float) -> Windows:
        """Return the windows, a little old while somebody watches: workers count no sooner either."""
        if self._windows is None or now - self._windows_at >= WINDOWS_SECONDS:
            self._windows = read_windows(self._store, now)
            self._windows_at = now
        return self._windows


def _queue(key: QueueKey, depth: Depth, window: Window, windows: Windows, now: float) -> dict[str, Any]:
    product, name = key
    return {
        "product": product,
        "queue": name,
        "ready": depth.ready,
        "pending": depth.pending,
        "running": depth.running,
        "oldest_ready_at": depth.oldest_ready_at and depth.oldest_ready_at.timestamp(),
        "done_per_minute": round(window.done / windows.pace_minutes, 2),
        "failed_last_hour": window.failed,
        "wait_p95": histogram.percentile(window.waits, 0.95),
        "spark": windows.spark(window, now),
    }
