"""The failed attempts of a job, newest first, on its page; one query, and no more text than is shown."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Left, Length, Right
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from pleme_redis_django.admin.display import between, moment, without_reordering
from pleme_redis_django.models import AbstractJob, JobAttempt, model_label

SHOWN_ATTEMPTS = 20
MESSAGE_CHARACTERS = 2 * 1024
# The end of a traceback says what happened; its beginning is the engine's.
TRACEBACK_CHARACTERS = 16 * 1024


def attempts_block(job: AbstractJob, using: str) -> SafeString | str:
    """Return the attempts as a list of headings that open, the newest one open."""
    rows = list(_attempts_of(job, using)[: SHOWN_ATTEMPTS + 1])
    if not rows:
        return "-"
    context = {
        "attempts": [_shown(row) for row in rows[:SHOWN_ATTEMPTS]],
        "shown_attempts": SHOWN_ATTEMPTS if len(rows) > SHOWN_ATTEMPTS else None,
    }
    return render_to_string("pleme_redis_django/admin/attempts.html", context)


def _attempts_of(job: AbstractJob, using: str) -> QuerySet[Any]:
    rows = JobAttempt._base_manager.using(using).filter(job_model=model_label(job), job_id=job.pk)
    return (
        rows.defer("message", "traceback")
        .annotate(
            message_start=Left("message", MESSAGE_CHARACTERS),
            traceback_end=Right("traceback", TRACEBACK_CHARACTERS),
            traceback_length=Length("traceback"),
        )
        .order_by("-attempt")
    )


def _shown(row: Any) -> dict[str, Any]:
    return {
        "number": row.attempt,
        "error_code": without_reordering(row.error_code),
        "error_class": without_reordering(row.error_class),
        "worker_id": row.worker_id,
        "ended": moment(row.ended_at),
        "took": between(row.started_at, row.ended_at),
        "message": without_reordering(row.message_start),
        "traceback": without_reordering(row.traceback_end),
        "traceback_length": row.traceback_length if row.traceback_length > TRACEBACK_CHARACTERS else None,
        "traceback_shown": TRACEBACK_CHARACTERS,
    }
