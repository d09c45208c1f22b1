"""WaitingRow: what a claim reads of a waiting job, as it is in the database now."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import DurationField, ExpressionWrapper, F
from django.db.models.fields.json import KT
from django.db.models.functions import Greatest, Now

from pleme_redis_django.conf import get_settings
from pleme_redis_django.jobs.interface.job import WAITING_STATUSES
from pleme_redis_django.models import AbstractJob
from pleme_redis_django.orm_store.job_table import JobTable


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WaitReason:
    """One thing that keeps a job waiting."""

    code: str
    """``deleted``, ``expired``, ``not_due``, ``put_off``, ``due``, ``blocked``, ``paused``, ``unknown_type``,
    ``no_worker``, ``unserved``, ``draining``, ``runs_alone``, ``busy``, ``behind``, ``next`` or ``unclaimed``."""
    text: str
    """The reason in a sentence."""
    since: datetime | None = None
    """Since when it holds, where that is known."""
    fix: str = ""
    """What an operator can do; empty: nothing, or nothing is wrong."""
    jobs: tuple[UUID, ...] = ()
    """Those that hold it up, a few of them, where that is known."""
    more_jobs: int = 0
    """How many hold it up besides those."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WaitingRow:
    """The columns of one job, read as attributes."""

    model: type[AbstractJob]
    using: str
    values: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        return self.values[name]


_FIELDS = (
    "id",
    "product",
    "queue_name",
    "job_type",
    "status",
    "priority",
    "run_after",
    "expires_at",
    "crash_count",
    "unseen_deaths",
    "blocked_on",
    "order_key",
    "cost",
    "retry_count",
    "max_retries",
    "snoozes",
    "created_at",
    "updated_at",
    "claimed_at",
    "failed_at",
    "deleted_at",
)


def is_put_off(row: Any) -> bool:
    """Whether it was its handler that made a PENDING job wait.

    A failure is noted as the row is written, and what gives a job back wipes its claim.
    """
    failed_later = row.failed_at is not None and row.failed_at >= row.updated_at
    return bool(row.snoozes) and row.claimed_at is not None and not failed_later


def read_waiting_row(job: AbstractJob) -> WaitingRow | None:
    """Return the job's row with ``due_in``, ``now`` and its ``schedule``'s name, None unless it waits; one query."""
    using = job._state.db or get_settings().database
    due_in = ExpressionWrapper(F("run_after") - Now(), output_field=DurationField())
    rows = JobTable(type(job), using).rows().filter(pk=job.pk, status__in=WAITING_STATUSES)
    # A retry, a change of priority or of queue: it is ready again from then on.
    annotated = rows.annotate(due_in=due_in, now=Now(), ready_since=Greatest("run_after", "updated_at"))
    annotated = annotated.annotate(schedule=KT("metadata__schedule"))
    values = annotated.values(*_FIELDS, "due_in", "now", "ready_since", "schedule").first()
    return None if values is None else WaitingRow(model=type(job), using=using, values=values)
