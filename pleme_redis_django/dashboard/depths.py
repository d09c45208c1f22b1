"""How many jobs of each queue are ready, pending and running now: counted through the partial indexes.

Finished history is not in those indexes, so the cost grows with the backlog alone.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Count, Min, QuerySet

from pleme_redis_django.jobs.job import JobStatus
from pleme_redis_django.models import AbstractJob

QueueKey = tuple[str, str]
"""Product and queue name."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """What one queue of one product holds."""

    ready: int = 0
    pending: int = 0
    running: int = 0
    oldest_ready_at: datetime | None = None
    """Since when the ready job that waits longest is due."""


def measure_depths(model: type[AbstractJob], using: str) -> dict[QueueKey, Depth]:
    """Return the queues that hold jobs to run; four queries in one transaction."""
    rows = model._base_manager.using(using).filter(deleted_at=None)
    queued = rows.filter(status=JobStatus.QUEUED)
    with transaction.atomic(using=using):
        # Each condition is that of a partial index, word for word: else the planner reads the table.
        ready = _counts(queued.filter(crash_count=0))
        suspects = _counts(queued.filter(crash_count__gt=0))
        pending = _counts(rows.filter(status=JobStatus.PENDING))
        running = _counts(rows.filter(status=JobStatus.RUNNING))
    return {
        key: Depth(
            ready=ready.jobs[key] + suspects.jobs[key],
            pending=pending.jobs[key],
            running=running.jobs[key],
            oldest_ready_at=min(filter(None, (ready.since.get(key), suspects.since.get(key))), default=None),
        )
        for key in ready.jobs.keys() | suspects.jobs.keys() | pending.jobs.keys() | running.jobs.keys()
    }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Counts:
    jobs: Counter[QueueKey]
    since: dict[QueueKey, datetime]


def _counts(rows: QuerySet[Any]) -> _Counts:
    counted = list(
        rows.order_by().values_list("product", "queue_name").annotate(jobs=Count("*"), since=Min("run_after"))
    )
    return _Counts(
        jobs=Counter({(product, queue): jobs for product, queue, jobs, _since in counted}),
        since={(product, queue): since for product, queue, _jobs, since in counted},
    )
