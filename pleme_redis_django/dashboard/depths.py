"""How many jobs of each queue are ready, pending and running now: counted through the partial indexes.

Finished history is not in those indexes, so the cost grows with the backlog alone.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any

from django.db.models import CharField, Count, Min, QuerySet, Value

from pleme_redis_django.dashboard.tally import QueueKey
from pleme_redis_django.jobs.job import JobStatus
from pleme_redis_django.models import AbstractJob


@dataclasses.dataclass(slots=True, kw_only=True)
class Depth:
    """What one queue of one product holds."""

    ready: int = 0
    pending: int = 0
    running: int = 0
    oldest_ready_at: datetime | None = None
    """Since when the ready job that waits longest is due."""


def measure_depths(model: type[AbstractJob], using: str) -> dict[QueueKey, Depth]:
    """Return the queues that hold jobs to run: one query, so that no job is met twice."""
    rows = model._base_manager.using(using).filter(deleted_at=None)
    queued = rows.filter(status=JobStatus.QUEUED)
    # Each part asks for just what a partial index holds: else the planner reads the table.
    parts = _counted(queued.filter(crash_count=0), "ready").union(
        _counted(queued.filter(crash_count__gt=0), "ready"),
        _counted(rows.filter(status=JobStatus.PENDING), "pending"),
        _counted(rows.filter(status=JobStatus.RUNNING), "running"),
        all=True,
    )
    depths: dict[QueueKey, Depth] = {}
    for product, queue, kind, jobs, since in parts:
        depth = depths.setdefault((product, queue), Depth())
        setattr(depth, kind, getattr(depth, kind) + jobs)
        if kind == "ready":
            depth.oldest_ready_at = min(depth.oldest_ready_at or since, since)
    return depths


def _counted(rows: QuerySet[Any], kind: str) -> Any:
    return (
        rows.order_by()
        .annotate(kind=Value(kind, CharField()))
        .values_list("product", "queue_name", "kind")
        .annotate(jobs=Count("*"), since=Min("run_after"))
    )
