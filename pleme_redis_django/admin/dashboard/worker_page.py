"""What the worker page shows of each process: its figures, the jobs that it runs, and whether it may be drained."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone

from pleme_redis_django.access.product_scope import ProductScope
from pleme_redis_django.conf import get_settings
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import AbstractJob
from pleme_redis_django.monitoring.figures import WorkerFigures
from pleme_redis_django.monitoring.worker_figures import worker_figures
from pleme_redis_django.orm_store.job_table import JobTable

JOBS_SHOWN = 3
JOBS_READ = 500


def worker_rows(
    scope: ProductScope,
    model: type[AbstractJob],
    *,
    job_url: Callable[[Any], str],
    attempts_url: str,
    may_drain: Callable[[WorkerFigures], bool],
) -> list[dict[str, Any]]:
    """Return a row for each process; two queries, however many there are.

    ``attempts_url``: the list of failed attempts, in which what a dead one held is found; "": there is none.
    """
    now = timezone.now()
    running = _running_jobs(scope, model)
    workers = worker_figures(scope, model=model)
    alive = [worker for worker in workers if worker.state == "alive"]
    rows = [
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
            "up_seconds": _up_seconds(worker, now),
            "attempts_url": attempts_url and f"{attempts_url}?worker_id={worker.id}",
            "may_drain": worker.state == "alive" and may_drain(worker),
            "leaves": unserved_without(worker, alive),
        }
        for worker in workers
    ]
    # Stuck workers are at the top, where people look for them; dead ones run nothing any more.
    return sorted(rows, key=lambda row: (row["worker"].state == "dead", -_longest(row["jobs"])))


def unserved_without(worker: WorkerFigures, alive: Sequence[WorkerFigures]) -> str:
    """Return which queues nobody serves once a process is drained, in words; "" when others serve them all."""
    others = [
        other
        for other in alive
        if other.id != worker.id and (not other.product or other.product == worker.product)
    ]
    if not others:
        return "It is the last live process: without it, no job runs."
    served = {queue for other in others for queue in other.queues}
    left = [] if "*" in served else [queue for queue in worker.queues if queue not in served]
    if not left:
        return ""
    names = (
        "every other queue" if "*" in left else f"the queue{'s' if len(left) > 1 else ''} {', '.join(left)}"
    )
    return f"No other process serves {names}."


def _up_seconds(worker: WorkerFigures, now: datetime) -> float:
    """Return for how long it has lived; a dead one until it was last heard."""
    since_start = (now - worker.started_at).total_seconds()
    return max(since_start - worker.silent_seconds, 0.0) if worker.state == "dead" else since_start


def _longest(jobs: Sequence[Mapping[str, Any]]) -> float:
    return max((job["seconds"] or 0.0 for job in jobs), default=0.0)


def _running_jobs(
    scope: ProductScope, model: type[AbstractJob]
) -> dict[Any, list[tuple[Any, str, datetime | None]]]:
    """Return id, type and start of the jobs that run, by worker; of very many the oldest ones."""
    rows = JobTable(model, get_settings().database).existing(JobStatus.RUNNING)
    by_worker = defaultdict(list)
    values = (
        scope.narrow(rows).order_by("claimed_at").values_list("worker_id", "id", "job_type", "started_at")
    )
    for worker_id, job_id, job_type, since in values[:JOBS_READ]:
        by_worker[worker_id].append((job_id, job_type, since))
    return by_worker
