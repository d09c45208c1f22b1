"""Rows that PostgreSQL keeps and Python cannot load: a due time or deadline before the year 1, after 9999, or infinite.

``enqueue()`` refuses such a time; SQL by hand does not. A claim that takes one fails as a whole, after
it was committed, and would do so forever. So would a look at what dead workers held.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db.models import Case, F, Q, QuerySet, When
from django.db.models.functions import Now

from pleme_redis_django.jobs.interface.job import WAITING_STATUSES, JobStatus
from pleme_redis_django.orm_store.connection import writing
from pleme_redis_django.orm_store.job_table import JobTable

# A day less on either side: what is loaded is converted to the time zone of the connection.
FIRST, LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
UNREADABLE = "unreadable_row"


def end_unreadable_jobs(table: JobTable[Any], among: QuerySet[Any] | None = None) -> int:
    """End the waiting and the claimed jobs that no worker can load as FAILED; return how many.

    ``among``: only those of these rows. Their due time becomes now, and such a deadline is dropped, so that pages
    can show them. The jobs that were claimed together with one are given back by the process that claimed them.
    """
    rows = table.rows() if among is None else among
    endless = _beyond("expires_at")
    alive = Q(status__in=[*WAITING_STATUSES, JobStatus.RUNNING])
    message = (
        f"The due time or the deadline of this job lies outside of the years {FIRST.year} to {LAST.year}, and no "
        "worker can load it. It was not stored by enqueue(). Enqueue the job again."
    )
    with writing(table.using):
        return rows.filter(alive & (_beyond("run_after") | endless)).update(
            status=JobStatus.FAILED,
            blocked_on=None,
            run_after=Now(),
            expires_at=Case(When(endless, then=None), default=F("expires_at")),
            failed_at=Now(),
            updated_at=Now(),
            unique_slot=None,
            error_message=message,
            error_details={"error_code": UNREADABLE},
        )


def _beyond(field: str) -> Q:
    return Q(**{f"{field}__lt": FIRST}) | Q(**{f"{field}__gt": LAST})
