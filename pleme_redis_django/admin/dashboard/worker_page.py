"""What the worker page shows of each process: its figures, the jobs that it runs, and whether it may be drained."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.utils import timezone

from pleme_redis_django.conf import get_settings
from pleme_redis_django.dashboard.figures import WorkerFigures
from pleme_redis_django.dashboard.scope import ProductScope
from pleme_redis_django.dashboard.snapshot import worker_figures
from pleme_redis_django.jobs.job import JobStatus
from pleme_redis_django.models import AbstractJob

JOBS_SHOWN = 3
JOBS_READ = 500


def worker_rows(
    scope: ProductScope,
    model: type[AbstractJob],
    *,
    job_url: Callable[[Any], str],
    may_drain: Callable[[WorkerFigures], bool],
) -> list[dict[str, Any]]:
    """Return a row for each process; two queries, however many there are."""
    now = timezone.now()
    running = _running_jobs(scope, model)
    return [
        {
            "worker": worker,
            "jobs": [
                {
                    "job_type": job_type,
                    "seconds": since and (now - since).total_seconds(),
                    "url": job_url(job_id),
                }
                for job_id, job_type, since in running[worker.id][:JOBS_SHOWN]
            ],
            "more_jobs": max(len(running[worker.id]) - JOBS_SHOWN, 0),
            "serves": "every queue" if "*" in worker.queues else ", ".join(worker.queues),
            "up_seconds": None if worker.state == "dead" else (now - worker.started_at).total_seconds(),
            "may_drain": worker.state == "alive" and may_drain(worker),
        }
        for worker in worker_figures(scope, model=model)
    ]


def _running_jobs(
    scope: ProductScope, model: type[AbstractJob]
) -> dict[Any, list[tuple[Any, str, datetime | None]]]:
    """Return id, type and start of the jobs that run, by worker; of very many the oldest ones."""
    rows = model._base_manager.using(get_settings().database).filter(
        status=JobStatus.RUNNING, deleted_at=None
    )
    by_worker = defaultdict(list)
    values = (
        scope.narrow(rows).order_by("claimed_at").values_list("worker_id", "id", "job_type", "started_at")
    )
    for worker_id, job_id, job_type, since in values[:JOBS_READ]:
        by_worker[worker_id].append((job_id, job_type, since))
    return by_worker
