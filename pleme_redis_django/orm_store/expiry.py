"""Expiry: jobs that have waited past their deadline end CANCELLED, and never run."""

from __future__ import annotations

from typing import Any

from django.db import connections, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models.indexes import EXPIRING_CONDITION
from pleme_redis_django.orm_store.dialects.dialect import Dialect
from pleme_redis_django.orm_store.ending_changes import EXPIRED_FAILURE, SLOT_AFTER_THE_END
from pleme_redis_django.orm_store.flow.lines import Line, lines_of_jobs
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.lookups import any_of


def expired(table: JobTable[Any]) -> QuerySet[Any]:
    """Return the rows that wait and may not start any more."""
    return table.rows().filter(EXPIRING_CONDITION, expires_at__lte=Now())


def end_expired_jobs(dialect: Dialect, table: JobTable[Any], limit: int) -> int:
    """End them; rows that another process holds are being claimed, and end there."""
    with transaction.atomic(using=table.using):
        ended, lines = _end_expired(table, limit)
    dialect.let_next(table, lines)
    return ended


def _end_expired(table: JobTable[Any], limit: int) -> tuple[int, set[Line]]:
    """End them; return how many, and the lines in which another may have its turn now."""
    rows = expired(table).order_by("expires_at")
    if connections[table.using].features.has_select_for_update_skip_locked:
        rows = rows.select_for_update(skip_locked=True)
    found = list(rows.values_list("id", "product", "order_key", named=True)[:limit])
    if not found:
        return 0, set()
    ids = [row.id for row in found]
    return end_as_expired(expired(table).filter(any_of("id", ids))), lines_of_jobs(found)


def end_as_expired(rows: QuerySet[Any]) -> int:
    """End the rows, which may not start any more; return how many."""
    return rows.update(
        status=JobStatus.CANCELLED,
        failed_at=Now(),
        updated_at=Now(),
        unique_slot=SLOT_AFTER_THE_END,
        blocked_on=None,
        error_message=EXPIRED_FAILURE.message,
        error_details=EXPIRED_FAILURE.details(),
        error_fingerprint=EXPIRED_FAILURE.fingerprint,
    )
