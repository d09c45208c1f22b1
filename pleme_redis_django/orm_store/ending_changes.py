"""What an ending sets in its row, as values and expressions of an ORM update."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Case, CharField, F, JSONField, PositiveIntegerField, Q, TextField, Value, When
from django.db.models.functions import Coalesce, Greatest, Now

from pleme_redis_django.jobs.definitions.uniqueness import PERIOD_PREFIX
from pleme_redis_django.jobs.interface.endings import (
    Cancelled,
    Completed,
    Ending,
    Failed,
    Failure,
    GivenBack,
    Retried,
    Snoozed,
)
from pleme_redis_django.jobs.interface.failures import EXPIRED, EXPIRED_NOTICE, engine_failure
from pleme_redis_django.jobs.interface.job import (
    SUSPECT_AFTER_CRASHES,
    SUSPECT_AFTER_UNSEEN_DEATHS,
    JobStatus,
)
from pleme_redis_django.jobs.interface.json_text import from_json
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.row_update import RowUpdate


def ending_update(table: JobTable[Any], ending: Ending) -> RowUpdate:
    """Return what writes an ending, where its row is RUNNING under its claim."""
    return RowUpdate(rows=table.running_under(ending.job_id, ending.claim), values=changes_of(ending))


def changes_of(ending: Ending) -> dict[str, Any]:
    """Return what an ending sets, as values and expressions of an ORM update."""
    changes: dict[str, Any] = {"status": ending.status, "updated_at": Now()}
    if ending.progress is not None:
        changes["progress"] = ending.progress
    if ending.status.is_terminal:
        changes["unique_slot"] = SLOT_AFTER_THE_END
    changes |= _deaths(ending)
    match ending:
        case Completed():
            results = from_json(ending.results_json)
            changes |= _started(ending) | {"completed_at": Now(), "results": results} | _NO_ERROR
        case Failed() | Cancelled():
            changes |= _started(ending) | {"failed_at": Now()} | _error(ending.failure)
        case Retried():
            changes |= (
                _waits(ending.status) | _started(ending) | {"failed_at": Now()} | _error(ending.failure)
            )
            changes |= {"retry_count": ending.retry_count} | _due(ending.delay_seconds)
        case Snoozed():
            changes |= _waits(ending.status) | _started(ending) | _due(ending.delay_seconds)
            changes |= {"snoozes": F("snoozes") + 1}
        case GivenBack():
            # The worker stays, so that a repeated give-back is recognised as its own.
            changes |= {"claimed_at": None, "started_at": None} | _due(ending.delay_seconds)
            changes |= _waits_or_expires(JobStatus.PENDING if ending.delay_seconds else JobStatus.QUEUED)
    return changes


_NO_ERROR: dict[str, Any] = {"error_message": "", "error_details": None, "error_fingerprint": ""}
SLOT_AFTER_THE_END = Case(
    When(unique_slot__startswith=PERIOD_PREFIX, then=F("unique_slot")),
    default=Value(None),
    output_field=CharField(),
)


# A suspect ran alone, and its process lives: the deaths were not its own.
_ACQUITTED = Case(
    When(crash_count__gte=SUSPECT_AFTER_CRASHES, then=Value(0)),
    default=F("crash_count"),
    output_field=PositiveIntegerField(),
)
# So many worker processes in a row have vanished with it that it is to run alone.
_CRASH_COUNT_AFTER_UNSEEN_DEATH = Case(
    When(
        unseen_deaths__gte=SUSPECT_AFTER_UNSEEN_DEATHS - 1,
        then=Greatest(F("crash_count"), Value(SUSPECT_AFTER_CRASHES)),
    ),
    default=F("crash_count"),
    output_field=PositiveIntegerField(),
)


EXPIRED_FAILURE = engine_failure(EXPIRED, EXPIRED_NOTICE, "")
# A job that was asked to end ends as that.
_EXPIRED = Q(expires_at__lte=Now(), cancel_requested_at=None)
_ASKED_TO_END = Q(cancel_requested_at__isnull=False)


def _waits(status: JobStatus) -> dict[str, Any]:
    """Return what makes a row wait for another attempt, or CANCELLED when it was asked to end."""
    return {
        "status": Case(
            When(_ASKED_TO_END, then=Value(JobStatus.CANCELLED.value)),
            default=Value(status.value),
            output_field=CharField(),
        ),
        "failed_at": Case(When(_ASKED_TO_END, then=Now()), default=F("failed_at")),
        "unique_slot": Case(When(_ASKED_TO_END, then=SLOT_AFTER_THE_END), default=F("unique_slot")),
    }


def _waits_or_expires(status: JobStatus) -> dict[str, Any]:
    """Return what makes a row that was given back wait again, unless it may not start any more."""
    waits = _waits(status)
    ended = {
        "status": Value(JobStatus.CANCELLED.value),
        "failed_at": Now(),
        "unique_slot": SLOT_AFTER_THE_END,
        "error_message": Value(EXPIRED_FAILURE.message, TextField()),
        "error_details": Value(EXPIRED_FAILURE.details(), JSONField()),
        "error_fingerprint": Value(EXPIRED_FAILURE.fingerprint),
    }
    return {
        name: Case(When(_EXPIRED, then=value), default=waits.get(name, F(name)))
        for name, value in ended.items()
    }


def _started(ending: Ending) -> dict[str, Any]:
    if isinstance(ending, Cancelled) and not ending.run_seconds:
        return {}  # It may never have started.
    return {"started_at": Coalesce(F("started_at"), Now() - timedelta(seconds=ending.run_seconds))}


def _due(delay_seconds: float) -> dict[str, Any]:
    return {"run_after": Now() + timedelta(seconds=delay_seconds)} if delay_seconds else {}


def _deaths(ending: Ending) -> dict[str, Any]:
    """Return what an ending says of the deaths before: one more, or that the job has survived itself."""
    if getattr(ending, "crashed", False):
        return {"crash_count": F("crash_count") + 1}
    if getattr(ending, "unseen_death", False):
        return {"unseen_deaths": F("unseen_deaths") + 1, "crash_count": _CRASH_COUNT_AFTER_UNSEEN_DEATH}
    if isinstance(ending, GivenBack):
        return {}
    survived = {"unseen_deaths": 0} if isinstance(ending, Retried | Snoozed) else {}
    return survived | {"crash_count": _ACQUITTED}


def _error(failure: Failure) -> dict[str, Any]:
    return {
        "error_message": failure.message,
        "error_details": failure.details(),
        "error_fingerprint": failure.fingerprint,
    }
