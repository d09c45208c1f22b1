"""Rows that PostgreSQL keeps and Python cannot load: due before the year 1, after 9999, or infinitely.

``enqueue()`` refuses such a time; SQL by hand does not. A claim that takes one fails as a whole, after
it was committed, and would do so forever.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db.models import Q
from django.db.models.functions import Now

from pleme_redis_django.jobs.interface.job import WAITING_STATUSES, JobStatus
from pleme_redis_django.orm_store.connection import writing
from pleme_redis_django.orm_store.job_table import JobTable

# A day less on either side: what is loaded is converted to the time zone of the connection.
FIRST, LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
UNREADABLE = "unreadable_row"


def end_unreadable_jobs(table: JobTable[Any]) -> int:
    """End the waiting and the claimed jobs that no worker can load as FAILED; return how many.

    Their due time becomes now, so that pages can show them. The jobs that were claimed together with
    one are given back by the process that claimed them.
    """
    beyond = Q(run_after__lt=FIRST) | Q(run_after__gt=LAST)
    alive = Q(status__in=[*WAITING_STATUSES, JobStatus.RUNNING])
    message = (
        f"The due time of this job lies outside of the years {FIRST.year} to {LAST.year}, and no worker can load it. "
        "It was not stored by enqueue(). Enqueue the job again."
    )
    with writing(table.using):
        return (
            table.rows()
            .filter(alive & beyond)
            .update(
                status=JobStatus.FAILED,
                blocked_on=None,
                run_after=Now(),
                failed_at=Now(),
                updated_at=Now(),
                unique_slot=None,
                error_message=message,
                error_details={"error_code": UNREADABLE},
            )
        )
