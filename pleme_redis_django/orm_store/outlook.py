"""What is ready and what is due: looked at without claiming, and rows that become ready when they are due."""

from __future__ import annotations

import dataclasses
from collections import Counter
from datetime import timedelta
from typing import Any

from django.db import connections, transaction
from django.db.models import BooleanField, DurationField, ExpressionWrapper, Min, Q
from django.db.models.functions import Now

from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.jobs.interface.store import Outlook
from pleme_redis_django.orm_store.dialects.dialect import Dialect
from pleme_redis_django.orm_store.expiry import end_as_expired
from pleme_redis_django.orm_store.flow.lines import Line, lines_of_jobs, ready_or_in_line
from pleme_redis_django.orm_store.horizon import Horizon
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.lookups import any_of
from pleme_redis_django.orm_store.pauses import Pauses, is_closed
from pleme_redis_django.orm_store.unreadable_rows import LAST

# Jobs that nobody takes gather at the head of the queue, so that a look at its head finds them.
UNSERVED_SAMPLE = 1_000


def promote_due_jobs(dialect: Dialect, table: JobTable[Any], limit: int) -> int:
    """Make due PENDING rows QUEUED, at most ``limit``, and end those that may not start any more; return how many.

    Those of a strict order go into their lines, and are counted too. Rows that another process holds are its own.
    """
    with transaction.atomic(using=table.using):
        promoted, lines = _promote(table, limit)
    dialect.let_next(table, lines)
    return promoted


def _promote(table: JobTable[Any], limit: int) -> tuple[int, set[Line]]:
    """Promote due rows; return how many, and the lines in which somebody may have its turn now."""
    is_expired = ExpressionWrapper(Q(expires_at__lte=Now()), output_field=BooleanField())
    due = table.pending().filter(run_after__lte=Now()).order_by("run_after")
    if connections[table.using].features.has_select_for_update_skip_locked:
        due = due.select_for_update(skip_locked=True)
    fields = ("id", "is_expired", "product", "order_key")
    found = list(due.annotate(is_expired=is_expired).values_list(*fields, named=True)[:limit])
    if expired := [row.id for row in found if row.is_expired]:
        end_as_expired(table.pending().filter(any_of("id", expired)))
    ids, lines = [row.id for row in found if not row.is_expired], lines_of_jobs(found)
    if not ids:
        return 0, lines
    changes = ready_or_in_line() if lines else {"status": JobStatus.QUEUED}
    return table.pending().filter(any_of("id", ids)).update(**changes, updated_at=Now()), lines


def look_ahead(
    dialect: Dialect, table: JobTable[Any], selection: JobSelection, pauses: Pauses, horizon: Horizon
) -> Outlook:
    """Return what is ready and what is due next. ``horizon``: that of the caller in this selection."""
    wait = ExpressionWrapper(Min("run_after") - Now(), output_field=DurationField())
    suspects = dataclasses.replace(selection, suspects=True)
    # Infinity less now is an error before PostgreSQL 17, and is loaded as 0 from then on.
    due_in: timedelta | None = table.pending().filter(run_after__lte=LAST).aggregate(wait=wait)["wait"]
    return Outlook(
        ready=not is_closed(selection, pauses) and dialect.is_ready(table, selection, pauses, horizon),
        suspects=bool(table.ready(suspects, pauses).values_list("id")[:1]),
        due_in_seconds=None if due_in is None else due_in.total_seconds(),
    )


def count_unserved(table: JobTable[Any], known_types: frozenset[str], pauses: Pauses) -> dict[str, int]:
    """Return the ready rows of unknown types by type, among the first ``UNSERVED_SAMPLE`` in claim order."""
    types = table.ready(pauses=pauses).values_list("job_type", flat=True)[:UNSERVED_SAMPLE]
    return dict(Counter(job_type for job_type in types if job_type not in known_types))
