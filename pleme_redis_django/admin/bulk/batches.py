"""An operation on many jobs: what it would do, and doing it in batches, in the order of ids.

A batch is one transaction: it locks its rows, changes them and writes an entry into the history of
each. Rows that somebody else has locked at that moment are left alone, so that a batch never waits
and no deadlock with a worker is possible; the next look at the counts shows them.
"""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

from django.contrib.admin.models import LogEntry
from django.db import transaction
from django.db.models import Count, Q, QuerySet

from pleme_redis_django.admin.bulk.operation import Operation, Options
from pleme_redis_django.admin.display import without_reordering
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.orm_store.job_table import JobTable

BATCH_JOBS = 500
COUNTED_JOBS = 100_000
SAMPLE_JOBS = 10
_SAMPLE_FIELDS = ("id", "job_type", "queue_name", "product", "status", "created_at")
FIRST_ID, LAST_ID = uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What an operation would do to the jobs of a queryset, counted no further than ``COUNTED_JOBS``."""

    able: int
    skipped: dict[JobStatus, int]
    """By status; those without any are left out, and all of them when the count is capped."""
    is_capped: bool
    """Whether there are more jobs than were counted."""
    sample: list[Any]
    """Some of those that it would change, the newest first."""
    last_id: uuid.UUID
    """Of the newest of them: what is enqueued later is not touched."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one batch has done."""

    changed: int
    asked: int = 0
    """How many of them run, and were asked to end."""
    cursor: uuid.UUID
    """Where the next one goes on."""
    is_last: bool


def preview(operation: Operation, rows: QuerySet[Any]) -> Preview:
    """Return what the operation would do now; three queries."""
    able = operation.able(rows)
    everything, changed = _by_status(rows), _by_status(able)
    sample = list(able.order_by("-id").only(*_SAMPLE_FIELDS)[:SAMPLE_JOBS])
    is_capped = sum(everything.values()) > COUNTED_JOBS
    skipped = {status: everything[status] - changed[status] for status in JobStatus}
    return Preview(
        able=min(sum(changed.values()), COUNTED_JOBS),
        # Of two counts that stopped somewhere, the difference says nothing.
        skipped={} if is_capped else {status: jobs for status, jobs in skipped.items() if jobs > 0},
        is_capped=is_capped,
        sample=sample,
        last_id=sample[0].id if sample else FIRST_ID,
    )


def run_batch(
    operation: Operation,
    rows: QuerySet[Any],
    options: Options,
    *,
    user: Any,
    after: uuid.UUID = FIRST_ID,
    last_id: uuid.UUID = LAST_ID,
) -> Batch:
    """Change the next jobs, those with ids above ``after`` and not above ``last_id``."""
    with transaction.atomic(using=rows.db):
        able = operation.able(rows.filter(id__gt=after, id__lte=last_id)).order_by("id")
        asked: list[Any] = []
        batch = list(able.select_for_update(skip_locked=True).only("id", "job_type", "status")[:BATCH_JOBS])
        if batch:
            same = JobTable(rows.model, rows.db).rows().filter(pk__in=[job.pk for job in batch])
            operation.apply(same, **options)
            for job in batch:  # whose names are in the histories
                job.job_type = without_reordering(job.job_type)
            asked = [job for job in batch if operation.asked and job.status == JobStatus.RUNNING]
            done = [job for job in batch if job not in asked] if asked else batch
            for jobs, sentence in ((done, operation.sentence(options)), (asked, operation.asked)):
                if jobs:
                    LogEntry.objects.log_actions(user.pk, jobs, operation.action_flag, f"{sentence}.")
    cursor = batch[-1].pk if batch else last_id
    return Batch(changed=len(batch), asked=len(asked), cursor=cursor, is_last=len(batch) < BATCH_JOBS)


def _by_status(rows: QuerySet[Any]) -> dict[JobStatus, int]:
    counts = {status.value: Count("pk", filter=Q(status=status)) for status in JobStatus}
    counted = rows.order_by()[: COUNTED_JOBS + 1].aggregate(**counts)
    return {status: counted[status.value] for status in JobStatus}
