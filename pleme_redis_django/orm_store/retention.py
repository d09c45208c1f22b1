"""Retention: the walk through a job table that deletes finished jobs whose time is over.

It follows the primary key. Ids are UUIDv7 and sort by time of creation, so that the oldest rows come first, no
index has to be kept up at every ending, and no row is read that is younger than the shortest period.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic
from uuid import UUID

from django.db import Error, IntegrityError
from django.db.models import (
    BooleanField,
    Case,
    Count,
    ExpressionWrapper,
    F,
    IntegerField,
    Q,
    QuerySet,
    When,
)
from django.db.models.functions import Coalesce, Now
from django.db.transaction import TransactionManagementError

from pleme_redis_django.conf.retention import Period, RetentionPolicy
from pleme_redis_django.jobs.interface.job import WAITING_STATUSES, JobStatus
from pleme_redis_django.jobs.interface.store import Pruned
from pleme_redis_django.models.job import AbstractJob, model_label
from pleme_redis_django.models.job_attempt import JobAttempt
from pleme_redis_django.orm_store.connection import is_harmless, reconnecting, sqlstate_of, writing
from pleme_redis_django.orm_store.job_table import JobTable, M
from pleme_redis_django.orm_store.lookups import any_of

logger = logging.getLogger("pleme_redis_django.jobs")

# Without its row a finished job would free its unique slot. No slot's period is longer.
_LONGEST_SLOT = timedelta(days=366)
_SLOT_IS_FREE = Q(unique_slot=None) | Q(created_at__lt=Now() - _LONGEST_SLOT)
# The clocks of hosts that enqueue differ: an id may say that its row is younger than it is.
CLOCK_SKEW = timedelta(hours=1)
# A walk follows another after five minutes; a thousand rows take it a tenth of a second.
LATE = timedelta(hours=1)
# SQLSTATEs of a deletion that took too long, or waited too long for a lock: of the project's rows, which go along.
_TOOK_TOO_LONG, _WAITED_TOO_LONG = "57014", "55P03"
# So long a batch deletes one by one, where each may wait for a lock; the rest is left to the next one.
SINGLY_SECONDS = 5.0

_ENDED_AT = Case(
    # Not when it failed: it may have failed long ago, been retried since, and deleted while it waited again.
    When(status__in=WAITING_STATUSES, then=F("deleted_at")),
    default=Coalesce(F("completed_at"), F("failed_at"), F("updated_at")),
)
_ENDED_AS = {
    JobStatus.COMPLETED: Q(status=JobStatus.COMPLETED),
    JobStatus.FAILED: Q(status=JobStatus.FAILED),
    # A job that was deleted while it waited has ended with that.
    JobStatus.CANCELLED: Q(status=JobStatus.CANCELLED)
    | Q(status__in=WAITING_STATUSES, deleted_at__isnull=False),
}


def is_over(policy: RetentionPolicy, since: timedelta = timedelta()) -> Q:
    """Return the condition of rows whose retention is over, for ``since`` or longer."""
    over = Q(pk__in=[])
    for status, ended in _ENDED_AS.items():
        queues = _said_of(status, policy.of_queues)
        products = _said_of(status, policy.of_products)
        elsewhere = ~Q(queue_name__in=list(queues)) if queues else Q()
        others = ~Q(product__in=list(products)) if products else Q()
        over |= ended & elsewhere & others & _older_than(policy.periods.get(status), since)
        for name, period in products.items():
            over |= ended & elsewhere & Q(product=name) & _older_than(period, since)
        for name, period in queues.items():
            over |= ended & Q(queue_name=name) & _older_than(period, since)
    return over & _SLOT_IS_FREE


def _said_of(status: JobStatus, names: Mapping[str, Mapping[str, Period]]) -> dict[str, Period]:
    return {name: periods[status] for name, periods in names.items() if status in periods}


def _older_than(period: Period, since: timedelta) -> Q:
    return Q(pk__in=[]) if period is None else Q(ended_at__lt=Now() - (period + since))


def kept_until(job: AbstractJob, policy: RetentionPolicy) -> datetime | None:
    """Return when a finished job may be deleted; None: never, as it is."""
    status = ending_of(job)
    if status is None:
        return None
    period = policy.of(status, queue=job.queue_name, product=job.product)
    if period is None:
        return None
    ended_at = job.completed_at or job.failed_at or job.updated_at
    if job.status in WAITING_STATUSES and job.deleted_at is not None:
        ended_at = job.deleted_at
    until: datetime = ended_at + period
    return until if job.unique_slot is None else max(until, job.created_at + _LONGEST_SLOT)


def ending_of(job: AbstractJob) -> JobStatus | None:
    """Return as what a job has ended; None: it has not."""
    status = JobStatus(job.status)
    if status in WAITING_STATUSES and job.deleted_at is not None:
        return JobStatus.CANCELLED
    return status if status in _ENDED_AS else None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OverdueJobs:
    """Finished jobs whose retention is over."""

    jobs: int
    late: int
    """Those of them that every walk of the last hour has left."""
    is_capped: bool
    """Whether there may be more: the count stopped."""


class Pruner(Generic[M]):
    """One walk after another, a number of rows at a time; for one thread."""

    def __init__(self, table: JobTable[M], policy: RetentionPolicy) -> None:
        self._table = table
        self._policy = policy
        self._over = is_over(policy)
        self._shortest = policy.shortest
        self._after: UUID | None = None
        """The last id that this walk has looked at; None: it begins."""

    def prune(self, limit: int) -> Pruned:
        """Look at the next ``limit`` rows of the walk, and delete those whose time is over."""
        if self._shortest is None:
            return Pruned()
        with reconnecting(self._table.using):
            ids = list(self._next_rows(self._shortest).values_list("pk", "is_over")[:limit])
        if not ids:
            self._after = None
            return Pruned()
        over = [pk for pk, its_over in ids if its_over]
        pruned, tried = self._delete(over) if over else (Pruned(is_done=False), 0)
        # The next batch goes on behind what this one has tried, even if it all stays.
        self._after = ids[-1][0] if tried == len(over) else over[tried - 1]
        return pruned

    def count(self) -> int:
        """Return how many rows a walk would delete now."""
        if self._shortest is None:
            return 0
        with reconnecting(self._table.using):
            return self._rows(self._shortest).filter(self._over).count()

    def overdue(self, most: int) -> OverdueJobs:
        """Count the oldest of those that a walk would delete now, up to ``most``."""
        if self._shortest is None:
            return OverdueJobs(jobs=0, late=0, is_capped=False)
        late = Case(When(is_over(self._policy, LATE), then=1), output_field=IntegerField())
        rows = self._rows(self._shortest).filter(self._over).order_by("pk").annotate(is_late=late)
        with reconnecting(self._table.using):
            counted = rows.values("pk", "is_late")[: most + 1].aggregate(
                jobs=Count("pk"), late=Count("is_late")
            )
        return OverdueJobs(
            jobs=min(counted["jobs"], most),
            late=min(counted["late"], most),
            is_capped=counted["jobs"] > most,
        )

    def _rows(self, shortest: timedelta) -> QuerySet[Any]:
        rows: QuerySet[Any] = self._table.rows().annotate(ended_at=_ENDED_AT)
        return rows.filter(
            pk__lt=_first_id_since(time.time() + CLOCK_SKEW.total_seconds() - shortest.total_seconds())
        )

    def _next_rows(self, shortest: timedelta) -> QuerySet[Any]:
        rows: QuerySet[Any] = self._rows(shortest).annotate(
            is_over=ExpressionWrapper(self._over, output_field=BooleanField())
        )
        if self._after is not None:
            rows = rows.filter(pk__gt=self._after)
        return rows.order_by("pk")

    def _delete(self, ids: Sequence[UUID]) -> tuple[Pruned, int]:
        """Return what was done, and how many of the ids were tried."""
        try:
            return Pruned(deleted=self._delete_together(ids), is_done=False), len(ids)
        except Exception as error:
            if not _is_of_a_row(error):
                raise
            return self._delete_singly(ids)

    def _delete_singly(self, ids: Sequence[UUID]) -> tuple[Pruned, int]:
        """Delete what can be deleted, while there is time: whatever keeps one of them keeps no other."""
        deleted = kept = tried = 0
        has_told = False
        give_up_at = time.monotonic() + SINGLY_SECONDS
        for job_id in ids:
            tried += 1
            try:
                deleted += self._delete_together([job_id])
            except Exception as error:
                if not _is_of_a_row(error):
                    raise
                kept += 1
                # Where a row of the project protects it, it is meant to stay: that is not worth a warning.
                if not (has_told or isinstance(error, IntegrityError)):
                    has_told = True
                    logger.warning(
                        "a finished job cannot be deleted job_id=%s error=%s", job_id, type(error).__name__
                    )
            if time.monotonic() >= give_up_at:
                break
        return Pruned(deleted=deleted, kept=kept, is_done=False), tried

    def _delete_together(self, ids: Sequence[UUID]) -> int:
        using = self._table.using
        with writing(using):
            # Looked at again under the lock: an operator may have retried one meanwhile.
            rows = self._table.rows().annotate(ended_at=_ENDED_AT).filter(self._over, any_of("pk", ids))
            locked = list(rows.select_for_update(skip_locked=True).values_list("pk", flat=True))
            if not locked:
                return 0
            attempts = JobAttempt._base_manager.using(using).filter(job_model=model_label(self._table.model))
            attempts.filter(any_of("job_id", locked)).delete()
            # By the ORM: what refers to a job in the project's own tables goes along, or keeps it.
            self._table.rows().filter(any_of("pk", locked)).delete()
        return len(locked)


def _is_of_a_row(error: Exception) -> bool:
    """Whether a job could not be deleted for a reason of its own, and none of the database: others can.

    A row that refers to it, a receiver of the project's that fails, or what goes along takes too long.
    """
    if not isinstance(error, Error) or isinstance(error, TransactionManagementError):
        return True
    return is_harmless(error) or sqlstate_of(error) in (_TOOK_TOO_LONG, _WAITED_TOO_LONG)


def _first_id_since(timestamp: float) -> UUID:
    """Return the first UUIDv7 of a time (RFC 9562): it begins with its milliseconds."""
    return UUID(int=max(int(timestamp * 1000), 0) << 80)
