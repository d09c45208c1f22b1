"""What an operator does to stored jobs: retry and delete, as fenced updates of a queryset.

Which rows, and so which product, is the queryset's to say; an operation adds what may change and
never widens it. It writes to the queryset's database (``.using()``), else to that of the settings.
Whoever else changes a row at the same moment, the status is asked for by the UPDATE itself.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import TypeVar

from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from pleme_redis_django.conf import get_settings
from pleme_redis_django.enqueueing.pools import hint_namespace, hints_enabled
from pleme_redis_django.jobs.job import JobStatus
from pleme_redis_django.models import AbstractJob
from pleme_redis_django.redis_state.job_queue import JobQueue

M = TypeVar("M", bound=AbstractJob)

RETRYABLE_STATUSES = (JobStatus.FAILED, JobStatus.CANCELLED)


def retryable_jobs(jobs: QuerySet[M]) -> QuerySet[M]:
    """Return those of the jobs that ``retry_jobs`` changes: FAILED or CANCELLED, and not deleted."""
    return _on_job_database(jobs).filter(status__in=RETRYABLE_STATUSES, deleted_at=None)


def retry_jobs(jobs: QuerySet[M]) -> int:
    """Make the FAILED and CANCELLED ones among the jobs QUEUED, due now; return how many were.

    Each starts with all its retries again (``retry_count`` 0), and its cancel request is void.
    ``attempt`` goes on counting, and the kept attempts stay. ``crash_count`` stays too: a job that
    killed its worker runs alone next time. The unique slot is not taken again: another job may have
    it. The others of the queryset are left as they are. Workers get a hint after the commit.
    """
    rows = retryable_jobs(jobs).order_by()
    with transaction.atomic(using=rows.db):
        queue_names = list(rows.values_list("queue_name", flat=True).distinct())
        changed = rows.update(
            status=JobStatus.QUEUED,
            retry_count=0,
            run_after=Now(),
            cancel_requested_at=None,
            updated_at=Now(),
        )
        if changed:
            hint = functools.partial(_hint_queues, jobs.model, queue_names)
            transaction.on_commit(hint, using=rows.db, robust=True)
    return changed


def deletable_jobs(jobs: QuerySet[M]) -> QuerySet[M]:
    """Return those of the jobs that ``delete_jobs`` changes: the ones that are not deleted yet."""
    return _on_job_database(jobs).filter(deleted_at=None)


def delete_jobs(jobs: QuerySet[M]) -> int:
    """Mark the jobs as deleted and free their unique slots; return how many were marked.

    The rows stay; no worker claims them. A RUNNING one is not interrupted: its handler ends, its
    ending is recorded, and no retry follows. Since its slot is free at once, a new job with the same
    unique key can start while it still runs.
    """
    return deletable_jobs(jobs).order_by().update(deleted_at=Now(), unique_slot=None, updated_at=Now())


aretry_jobs = sync_to_async(retry_jobs)
adelete_jobs = sync_to_async(delete_jobs)


def _on_job_database(jobs: QuerySet[M]) -> QuerySet[M]:
    # ``QuerySet.db`` would ask the router, which may name a replica.
    chosen: str | None = getattr(jobs, "_db", None)
    return jobs.using(chosen or get_settings().database)


def _hint_queues(model: type[AbstractJob], queue_names: Iterable[str]) -> None:
    """Wake a worker of each queue; one that finds more than it can take wakes the next."""
    if hints_enabled():
        for name in queue_names:
            JobQueue(name, hint_namespace(model)).nudge()
