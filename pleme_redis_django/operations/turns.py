"""Turns of strict order: an operator puts the job that holds a line up behind the others of that line."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.models import DateTimeField, F, Max, Min, Q, QuerySet, Value
from django.db.models.functions import Greatest, Least, Now

from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import AbstractJob
from pleme_redis_django.models.indexes import BLOCKED_CONDITION
from pleme_redis_django.operations.stored_jobs import (
    let_others_in_after_commit,
    on_job_database,
    table_of,
    waited_for,
)
from pleme_redis_django.orm_store.flow.lines import IN_LINE, Line, lines_of
from pleme_redis_django.orm_store.job_table import JobTable, M

# A waiting job of a line that has its turn; one that runs has it too, and keeps it until it ends.
_WAITS_AT_THE_HEAD = Q(order_key__isnull=False, deleted_at=None) & (
    Q(status=JobStatus.QUEUED)
    | Q(status=JobStatus.PENDING, attempt__gt=0)
    | (Q(status=JobStatus.BLOCKED) & ~IN_LINE)
)
# Two of the same due time come in the order of their ids.
_BEHIND = timedelta(milliseconds=1)


def skippable_jobs(jobs: QuerySet[M]) -> QuerySet[M]:
    """Return those of the jobs that ``skip_in_line`` may put behind the others: at the head of a line, and waiting."""
    return on_job_database(jobs).filter(_WAITS_AT_THE_HEAD)


def skip_in_line(job: AbstractJob) -> bool:
    """Put the waiting head of a line behind the others of it, and give the next one its turn; return whether it was.

    For a line that is held up: by a head that fails and is retried for hours, or that waits for a limit. The job is
    not lost and not changed otherwise: it keeps its retries and its due time, has at most the lowest priority of
    its line, and stands behind all that wait there now. To end it instead, ``cancel_jobs`` does, and passes the turn
    on too. False: the job does not wait at the head of a line (one that runs has to end first), or nobody waits
    behind it.
    """
    rows = on_job_database(type(job)._base_manager.filter(pk=job.pk))
    with transaction.atomic(using=rows.db):
        lines = lines_of(rows)
        behind = _waiting_in(table_of(rows), lines)
        last = behind.aggregate(run_after=Max("run_after"), priority=Min("priority"))
        if not lines or last["run_after"] is None:
            return False
        skipped = rows.filter(_WAITS_AT_THE_HEAD).update(
            status=JobStatus.BLOCKED,
            blocked_on=lines[0].gate,
            priority=Least(F("priority"), last["priority"]),
            run_after=Greatest(F("run_after"), Value(last["run_after"] + _BEHIND, DateTimeField()), Now()),
            updated_at=Now(),
        )
        if skipped:
            let_others_in_after_commit(table_of(rows), waited_for(rows))
    return bool(skipped)


def skip_in_lines(jobs: QuerySet[M]) -> int:
    """Put the waiting heads among the jobs behind the others of their lines; return how many were."""
    return sum(skip_in_line(job) for job in skippable_jobs(jobs).only("pk").order_by("pk"))


def _waiting_in(table: JobTable[Any], lines: Collection[Line]) -> QuerySet[Any]:
    return table.rows().filter(BLOCKED_CONDITION, blocked_on__in=[line.gate for line in lines])


askip_in_line = sync_to_async(skip_in_line)
