"""Operations that end jobs or start them again: cancel, delete and retry."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.models import Case, F, Q, QuerySet, When
from django.db.models.functions import Now

from pleme_redis_django import signals
from pleme_redis_django.job_listeners import listeners
from pleme_redis_django.jobs.interface.job import WAITING_STATUSES, JobStatus
from pleme_redis_django.operations.stored_jobs import (
    call_after_commit,
    hint_after_commit,
    let_others_in_after_commit,
    locked_by_id,
    on_job_database,
    queue_names_of,
    table_of,
    waited_for,
)
from pleme_redis_django.orm_store.flow.lines import ready_or_in_line
from pleme_redis_django.orm_store.job_table import JobTable, M
from pleme_redis_django.orm_store.lookups import any_of

RETRYABLE_STATUSES = (JobStatus.FAILED, JobStatus.CANCELLED)
TERMINAL_STATUSES = [status for status in JobStatus if status.is_terminal]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CancelResult:
    """What ``cancel_jobs`` did."""

    ended: int
    """How many waiting jobs are CANCELLED now."""
    requested: int
    """How many running jobs were asked to end."""

    @property
    def total(self) -> int:
        """How many jobs were changed."""
        return self.ended + self.requested


def cancellable_jobs(jobs: QuerySet[M]) -> QuerySet[M]:
    """Return those of the jobs that ``cancel_jobs`` changes: they wait, or run and were not asked to end."""
    return on_job_database(jobs).filter(_WAITS | _RUNS_UNASKED, deleted_at=None)


_WAITS = Q(status__in=WAITING_STATUSES)
_RUNS_UNASKED = Q(status=JobStatus.RUNNING, cancel_requested_at=None)


def cancel_jobs(jobs: QuerySet[M]) -> CancelResult:
    """End waiting jobs as CANCELLED at once, and ask running ones to end.

    A waiting job frees its unique slot. A running one goes on until its handler notices: an async
    handler is cancelled, a sync one sees ``ctx.cancel_requested``. Its ending stands if it completes
    or fails for good; a retry, a rescue or a give-back makes it CANCELLED instead.
    """
    rows = on_job_database(jobs).filter(deleted_at=None).order_by()
    with transaction.atomic(using=rows.db):
        left = waited_for(rows.filter(_WAITS | _RUNS_UNASKED))
        ended = _cancel_waiting(rows)
        running = rows.filter(_RUNS_UNASKED)
        worker_ids = list(running.values_list("worker_id", flat=True).distinct())
        requested = locked_by_id(running).update(cancel_requested_at=Now())
        if requested:
            call_after_commit(rows.db, worker_ids)
        # A job that was given back between the two statements waits now, and would be left out.
        ended += _cancel_waiting(rows)
        if ended:
            let_others_in_after_commit(table_of(rows), left)
    return CancelResult(ended=ended, requested=requested)


def _cancel_waiting(rows: QuerySet[M]) -> int:
    waiting = rows.filter(_WAITS)
    ids = _heard(waiting)
    ended = locked_by_id(waiting).update(
        status=JobStatus.CANCELLED,
        cancel_requested_at=Now(),
        failed_at=Now(),
        updated_at=Now(),
        unique_slot=None,
        blocked_on=None,
    )
    if ids:
        # No partial: Django logs the __qualname__ of a robust callback that fails, and a partial has none.
        transaction.on_commit(lambda: _tell_of_cancelled(table_of(rows), ids), using=rows.db, robust=True)
    return ended


def _heard(waiting: QuerySet[M]) -> list[UUID]:
    """Return the jobs of whose cancel somebody is told: most projects listen to none, and no row is read."""
    if not signals.job_cancelled.receivers:
        if not listeners:
            return []
        waiting = waiting.filter(job_type__in=list(listeners))
    return list(waiting.values_list("pk", flat=True))


def _tell_of_cancelled(table: JobTable[Any], ids: Sequence[UUID]) -> None:
    cancelled = table.rows().filter(any_of("pk", ids), status=JobStatus.CANCELLED)
    for job in cancelled.order_by("pk"):
        signals.job_cancelled.send_robust(sender=table.model, job=job)
        if (listener := listeners.get(job.job_type)) is not None:
            listener.cancelled(job)


def retryable_jobs(jobs: QuerySet[M]) -> QuerySet[M]:
    """Return those of the jobs that ``retry_jobs`` changes: FAILED or CANCELLED, and not deleted."""
    return on_job_database(jobs).filter(status__in=RETRYABLE_STATUSES, deleted_at=None)


def retry_jobs(jobs: QuerySet[M]) -> int:
    """Make the FAILED and CANCELLED ones among the jobs QUEUED, due now; return how many were.

    Each starts with all its retries again (``retry_count`` 0), and its cancel request is void.
    ``attempt`` goes on counting, and the kept attempts stay. What killed its worker processes starts
    with a clean record (``crash_count`` and ``unseen_deaths`` 0) too: who retries it has mended it, and a
    job that was not is found out again. The unique slot is not taken again: another job may have it. One of a
    strict order goes to the end of its line, for those behind it have had their turns. The others of the
    queryset are left as they are.
    """
    rows = retryable_jobs(jobs).order_by()
    with transaction.atomic(using=rows.db):
        queue_names, left = queue_names_of(rows), waited_for(rows)
        changed = locked_by_id(rows).update(
            **ready_or_in_line(Q(order_key__isnull=False)),
            retry_count=0,
            crash_count=0,
            unseen_deaths=0,
            run_after=Now(),
            cancel_requested_at=None,
            # A deadline in the past would end it at once, but the user who retries it wants it to run.
            expires_at=Case(When(expires_at__lte=Now(), then=None), default=F("expires_at")),
            updated_at=Now(),
        )
        if changed:
            let_others_in_after_commit(table_of(rows), left)
            hint_after_commit(table_of(rows), queue_names)
    return changed


def deletable_jobs(jobs: QuerySet[M]) -> QuerySet[M]:
    """Return those of the jobs that ``delete_jobs`` changes: the ones that are not deleted yet."""
    return on_job_database(jobs).filter(deleted_at=None)


def delete_jobs(jobs: QuerySet[M]) -> int:
    """Mark the jobs as deleted and free their unique slots; return how many were marked.

    The rows stay; no worker claims them. A RUNNING one is not interrupted: its handler ends, its
    ending is recorded, and no retry follows. Since its slot is free at once, a new job with the same
    unique key can start while it still runs.
    """
    rows = deletable_jobs(jobs).order_by()
    with transaction.atomic(using=rows.db):
        let_others_in_after_commit(table_of(rows), waited_for(rows.exclude(status__in=TERMINAL_STATUSES)))
        return locked_by_id(rows).update(deleted_at=Now(), unique_slot=None, updated_at=Now())


acancel_jobs = sync_to_async(cancel_jobs)
aretry_jobs = sync_to_async(retry_jobs)
adelete_jobs = sync_to_async(delete_jobs)
