"""The failed attempts of a job, newest first, on its page; one query, and no more text than is shown."""

from __future__ import annotations

from typing import Any

from django.db.models.functions import Left, Length, Right
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from pleme_redis_django.access.redaction import is_redacting, redact_attempts
from pleme_redis_django.admin.display import between, moment, without_reordering
from pleme_redis_django.models import AbstractJob, JobAttempt, model_label

SHOWN_ATTEMPTS = 20
MESSAGE_CHARACTERS = 2 * 1024
# The end of a traceback says what happened; its beginning is the engine's.
TRACEBACK_CHARACTERS = 16 * 1024
_LOADED = "_pleme_attempts"


def attempts_of(job: AbstractJob, using: str) -> list[Any]:
    """Return the newest attempts, one more than is shown when there are more; loaded once for an instance."""
    known: list[Any] | None = job.__dict__.get(_LOADED)
    if known is None:
        rows = JobAttempt._base_manager.using(using).filter(job_model=model_label(job), job_id=job.pk)
        rows = rows.order_by("-attempt")[: SHOWN_ATTEMPTS + 1]
        known = job.__dict__[_LOADED] = _redacted(job, rows) if is_redacting() else _cut_by_database(rows)
    return known


def attempts_block(job: AbstractJob, using: str, *, all_url: str) -> SafeString | str:
    """Return the attempts as a list of headings that open, the newest one open.

    ``all_url``: of the page that lists all of them, "" where there is none.
    """
    rows = attempts_of(job, using)
    if not rows:
        return "-"
    context = {
        "attempts": [_shown(row) for row in rows[:SHOWN_ATTEMPTS]],
        "shown_attempts": SHOWN_ATTEMPTS if len(rows) > SHOWN_ATTEMPTS else None,
        "all_url": all_url,
    }
    return render_to_string("pleme_redis_django/admin/attempts.html", context)


def _cut_by_database(rows: Any) -> list[Any]:
    return list(
        rows.defer("message", "traceback").annotate(
            message_start=Left("message", MESSAGE_CHARACTERS),
            traceback_end=Right("traceback", TRACEBACK_CHARACTERS),
            traceback_length=Length("traceback"),
        )
    )


def _redacted(job: AbstractJob, rows: Any) -> list[Any]:
    """Load the whole texts: half of a secret, cut off at the end, is one that no hook finds."""
    attempts = list(rows)
    redact_attempts(job, attempts)
    for attempt in attempts:
        attempt.message_start = attempt.message[:MESSAGE_CHARACTERS]
        attempt.traceback_end = attempt.traceback[-TRACEBACK_CHARACTERS:]
        attempt.traceback_length = len(attempt.traceback)
    return attempts


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
