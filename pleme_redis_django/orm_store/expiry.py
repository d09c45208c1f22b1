"""Expiry: jobs that have waited past their deadline end CANCELLED, and never run."""

from __future__ import annotations

from typing import Any

from django.db import connections, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models.indexes import EXPIRING_CONDITION
from pleme_redis_django.orm_store.ending_changes import EXPIRED_FAILURE, SLOT_AFTER_THE_END
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.lookups import any_of


def expired(table: JobTable[Any]) -> QuerySet[Any]:
    """Return the rows that wait and may not start any more."""
    return table.rows().filter(EXPIRING_CONDITION, expires_at__lte=Now())


def end_expired_jobs(table: JobTable[Any], limit: int) -> int:
    """End them; rows that another process holds are being claimed, and end there."""
    with transaction.atomic(using=table.using):
        rows = expired(table).order_by("expires_at")
        if connections[table.using].features.has_select_for_update_skip_locked:
            rows = rows.select_for_update(skip_locked=True)
        ids = list(rows.values_list("id", flat=True)[:limit])
        return end_as_expired(expired(table).filter(any_of("id", ids))) if ids else 0


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
