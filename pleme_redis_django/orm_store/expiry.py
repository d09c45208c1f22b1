"""Expiry: jobs that have waited past their deadline end CANCELLED, and never run."""

from __future__ import annotations

from typing import Any

from django.db import connections, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from pleme_redis_django.jobs.interface.failures import EXPIRED, EXPIRED_NOTICE, engine_failure
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models.indexes import EXPIRING_CONDITION
from pleme_redis_django.orm_store.ending_changes import SLOT_AFTER_THE_END
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.lookups import any_of


def expired(table: JobTable[Any]) -> QuerySet[Any]:
    """Return the rows that wait and may not start any more."""
    return table.rows().filter(EXPIRING_CONDITION, expires_at__lte=Now())


def end_expired_jobs(table: JobTable[Any], limit: int) -> int:
    """End them; rows that another process holds are being claimed, and end there."""
    failure = engine_failure(EXPIRED, EXPIRED_NOTICE, "")
    with transaction.atomic(using=table.using):
        rows = expired(table).order_by("expires_at")
        if connections[table.using].features.has_select_for_update_skip_locked:
            rows = rows.select_for_update(skip_locked=True)
        ids = list(rows.values_list("id", flat=True)[:limit])
        if not ids:
            return 0
        return (
            expired(table)
            .filter(any_of("id", ids))
            .update(
                status=JobStatus.CANCELLED,
                failed_at=Now(),
                updated_at=Now(),
                unique_slot=SLOT_AFTER_THE_END,
                error_message=failure.message,
                error_details=failure.details(),
                error_fingerprint=failure.fingerprint,
            )
        )
