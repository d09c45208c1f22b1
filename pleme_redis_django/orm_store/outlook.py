"""What is ready and what is due: looked at without claiming, and rows that become ready when they are due."""

from __future__ import annotations

import dataclasses
from collections import Counter
from datetime import timedelta

from django.db import connections, transaction
from django.db.models import DurationField, ExpressionWrapper, Min
from django.db.models.functions import Now

from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.jobs.interface.store import JobSelection, Outlook
from pleme_redis_django.orm_store.horizon import Horizon
from pleme_redis_django.orm_store.later_rows import first_later
from pleme_redis_django.orm_store.lookups import any_of
from pleme_redis_django.orm_store.open_queues import first_ready
from pleme_redis_django.orm_store.pauses import Pauses, is_closed
from pleme_redis_django.orm_store.ready_rows import M, has_named_queues, is_merged, pending_rows, ready_rows

# Jobs that nobody takes gather at the head of the queue, so that a look at its head finds them.
UNSERVED_SAMPLE = 1_000


def promote_due_jobs(model: type[M], using: str, limit: int) -> int:
    """Make due PENDING rows QUEUED, at most ``limit``; rows that another process holds are its own."""
    with transaction.atomic(using=using):
        due = pending_rows(model, using).filter(run_after__lte=Now()).order_by("run_after")
        if connections[using].features.has_select_for_update_skip_locked:
            due = due.select_for_update(skip_locked=True)
        ids = list(due.values_list("id", flat=True)[:limit])
        if not ids:
            return 0
        due_rows = pending_rows(model, using).filter(any_of("id", ids))
        return due_rows.update(status=JobStatus.QUEUED, updated_at=Now())


def look_ahead(
    model: type[M], using: str, selection: JobSelection, pauses: Pauses, horizon: Horizon
) -> Outlook:
    """Return what is ready and what is due next. ``horizon``: that of the caller in this selection."""
    wait = ExpressionWrapper(Min("run_after") - Now(), output_field=DurationField())
    suspects = dataclasses.replace(selection, suspects=True)
    due_in: timedelta | None = pending_rows(model, using).aggregate(wait=wait)["wait"]
    return Outlook(
        ready=_is_ready(model, using, selection, pauses, horizon),
        suspects=ready_rows(model, using, suspects, pauses).exists(),
        due_in_seconds=None if due_in is None else due_in.total_seconds(),
    )


def _is_ready(model: type[M], using: str, selection: JobSelection, pauses: Pauses, horizon: Horizon) -> bool:
    if is_closed(selection, pauses):
        return False
    if connections[using].vendor != "postgresql":
        return ready_rows(model, using, selection, pauses).exists()
    if (since := horizon.since(pauses)) is not None:
        look = horizon.begin_later()
        found = bool(first_later(model, using, selection, 1, pauses, since))
        horizon.saw_later_ones(look, int(found), all_of_them=not found)
        return found
    look = horizon.begin()
    found = _is_any_ready(model, using, selection, pauses)
    horizon.saw(look, int(found), pauses, everything=not found)
    return found


def _is_any_ready(model: type[M], using: str, selection: JobSelection, pauses: Pauses) -> bool:
    if is_merged(using, selection, pauses) or has_named_queues(using, selection):
        return bool(first_ready(model, using, selection, 1, pauses))
    return ready_rows(model, using, selection, pauses).exists()


def count_unserved(model: type[M], using: str, known_types: frozenset[str], pauses: Pauses) -> dict[str, int]:
    """Return the ready rows of unknown types by type, among the first ``UNSERVED_SAMPLE`` in claim order."""
    ready = ready_rows(model, using, JobSelection(), pauses)
    types = ready.values_list("job_type", flat=True)[:UNSERVED_SAMPLE]
    return dict(Counter(job_type for job_type in types if job_type not in known_types))
