"""Operations on jobs that wait: run now, reschedule, change of priority or queue."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.models import Case, CharField, DateTimeField, F, Q, QuerySet, Value, When
from django.db.models.functions import Now
from django.db.models.lookups import GreaterThan

from pleme_redis_django.enqueueing.due_times import checked_run_after
from pleme_redis_django.exceptions import EnqueueError, InvalidNumber
from pleme_redis_django.jobs.definitions.options import checked_priority
from pleme_redis_django.jobs.interface.job import WAITING_STATUSES, JobStatus
from pleme_redis_django.jobs.interface.queue_names import validate_queue_name
from pleme_redis_django.operations.stored_jobs import (
    hint_after_commit,
    let_others_in_after_commit,
    locked_by_id,
    on_job_database,
    queue_names_of,
    table_of,
    waited_for,
    waiting_among,
)
from pleme_redis_django.orm_store.flow.lines import IN_LINE, ready_or_in_line
from pleme_redis_django.orm_store.job_table import M


def runnable_jobs(jobs: QuerySet[M]) -> QuerySet[M]:
    """Return those of the jobs that ``run_jobs_now`` changes: PENDING and not deleted."""
    return on_job_database(jobs).filter(status=JobStatus.PENDING, deleted_at=None)


def reschedulable_jobs(jobs: QuerySet[M]) -> QuerySet[M]:
    """Return those of the jobs whose due time, priority and queue may change: they wait, and are not deleted."""
    return on_job_database(jobs).filter(status__in=WAITING_STATUSES, deleted_at=None)


def run_jobs_now(jobs: QuerySet[M]) -> int:
    """Make the PENDING ones among the jobs QUEUED, due now; return how many were.

    One of a strict order that has not begun goes into its line instead.
    """
    return _change(runnable_jobs(jobs), run_after=Now(), **ready_or_in_line())


def reschedule_jobs(jobs: QuerySet[M], run_after: datetime) -> int:
    """Make waiting jobs due at ``run_after``; return how many were changed.

    By the database's clock: a time that is past makes them QUEUED, one to come PENDING. In a line of a strict
    order the time is a job's place too: one that has not begun goes there when it is due, and one that has, and is in
    its line again, waits there until then. Raises
    EnqueueError for what is not a datetime, or has no time zone while USE_TZ is on.
    """
    if (checked := checked_run_after(run_after)) is None:
        raise EnqueueError("run_after is None. Accepted: a datetime; run_jobs_now() makes jobs due now.")
    due = Value(checked, DateTimeField())
    is_to_come = Q(GreaterThan(due, Now()))
    goes_into_line = (IN_LINE & Q(attempt__gt=0)) | (_HAS_NO_TURN & ~is_to_come)
    changes = ready_or_in_line(goes_into_line)
    changes["status"] = Case(
        When(goes_into_line, then=Value(JobStatus.BLOCKED.value)),
        When(is_to_come, then=Value(JobStatus.PENDING.value)),
        default=Value(JobStatus.QUEUED.value),
        output_field=CharField(),
    )
    return _change(reschedulable_jobs(jobs), run_after=due, **changes)


# Of a strict order: in its line, or not due and not begun.
_HAS_NO_TURN = IN_LINE | Q(order_key__isnull=False, status=JobStatus.PENDING, attempt=0)


def change_priority(jobs: QuerySet[M], priority: int) -> int:
    """Give waiting jobs another priority, -100 to 100; return how many were changed. Raises InvalidNumber."""
    checked = checked_priority(priority, InvalidNumber)
    rows = reschedulable_jobs(jobs).order_by()
    with transaction.atomic(using=rows.db):
        held = waiting_among(rows)
        changed = locked_by_id(rows).update(priority=checked, updated_at=Now())
        if changed:
            let_others_in_after_commit(table_of(rows), held)
    return changed


def change_queue(jobs: QuerySet[M], queue_name: str) -> int:
    """Move waiting jobs into another queue; return how many were changed. Raises InvalidName.

    One that waits at a limit is ready there, and waits again where it must. One that waits for its turn goes on
    doing so.
    """
    at_a_limit = Q(status=JobStatus.BLOCKED) & ~IN_LINE
    changes: dict[str, Any] = {
        "queue_name": validate_queue_name(queue_name),
        "status": Case(
            When(at_a_limit, then=Value(JobStatus.QUEUED.value)),
            default=F("status"),
            output_field=CharField(),
        ),
        "blocked_on": Case(When(at_a_limit, then=None), default=F("blocked_on")),
    }
    return _change(reschedulable_jobs(jobs), **changes)


def _change(rows: QuerySet[M], **changes: Any) -> int:
    """Update the rows, and wake the workers of the queues that they are in afterwards."""
    rows = rows.order_by()
    with transaction.atomic(using=rows.db):
        queue_names = [changes["queue_name"]] if "queue_name" in changes else queue_names_of(rows)
        left = waited_for(rows)
        changed = locked_by_id(rows).update(**changes, updated_at=Now())
        if changed:
            let_others_in_after_commit(table_of(rows), left)
            hint_after_commit(table_of(rows), queue_names)
    return changed


arun_jobs_now = sync_to_async(run_jobs_now)
areschedule_jobs = sync_to_async(reschedule_jobs)
achange_priority = sync_to_async(change_priority)
achange_queue = sync_to_async(change_queue)
