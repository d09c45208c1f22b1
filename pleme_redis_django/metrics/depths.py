"""How many jobs of each queue are ready, blocked, pending and running now: counted through the partial indexes.

Finished history is not in those indexes, so the cost grows only with the backlog.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any

from django.db.models import CharField, Count, Min, QuerySet, Value

from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.metrics.tally import QueueKey
from pleme_redis_django.orm_store.job_table import EVERY_SUSPECT, JobTable


@dataclasses.dataclass(slots=True, kw_only=True)
class Depth:
    """What one queue of one product holds."""

    ready: int = 0
    blocked: int = 0
    pending: int = 0
    running: int = 0
    oldest_ready_at: datetime | None = None
    """Since when the ready job that waits longest is due."""
    oldest_running_at: datetime | None = None
    """When the job was claimed that is held longest."""


def measure_depths(table: JobTable[Any], *, limit: int | None = None) -> dict[QueueKey, Depth]:
    """Return the queues that hold jobs to run: one query, so that no job is met twice.

    ``limit``: the most rows to read of each kind. Every number is then a lower bound.
    """
    running = table.existing(JobStatus.RUNNING)
    # Each part asks for just what a partial index holds: else the planner reads the table.
    kinds: list[tuple[QuerySet[Any], str, str]] = [
        (table.ready(), "ready", "run_after"),
        (table.ready(EVERY_SUSPECT), "ready", "run_after"),
        (table.blocked().order_by("blocked_on"), "blocked", "run_after"),
        (table.pending().order_by("run_after"), "pending", "run_after"),
        (running.order_by("concurrency_key"), "running", "claimed_at"),
    ]
    first, *others = [_counted(part, kind, since, limit) for part, kind, since in kinds]
    depths: dict[QueueKey, Depth] = {}
    for product, queue, kind, jobs, since in first.union(*others, all=True):
        depth = depths.setdefault((product, queue), Depth())
        setattr(depth, kind, getattr(depth, kind) + jobs)
        if kind == "ready":
            depth.oldest_ready_at = min(depth.oldest_ready_at or since, since)
        elif kind == "running":
            depth.oldest_running_at = since
    return depths


def _counted(rows: QuerySet[Any], kind: str, since: str, limit: int | None) -> Any:
    if limit is not None:
        # In the order of its index: a limit alone would have the planner look for them in the whole table.
        rows = JobTable(rows.model, rows.db).rows().filter(pk__in=rows.values("pk")[:limit])
    return (
        rows.order_by()
        .annotate(kind=Value(kind, CharField()))
        .values_list("product", "queue_name", "kind")
        .annotate(jobs=Count("*"), since=Min(since))
    )
