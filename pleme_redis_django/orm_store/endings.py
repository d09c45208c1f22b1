"""Endings as fenced updates: one statement for many completed jobs on PostgreSQL, one each elsewhere."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, TypeGuard
from uuid import UUID

from django.db import DatabaseError, DataError, IntegrityError, connections, transaction
from django.db.models import Case, CharField, F, PositiveIntegerField, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce, Greatest, Now

from pleme_redis_django.exceptions import BadEnding, DoubtfulEndings, LockedJobs
from pleme_redis_django.jobs.definitions.uniqueness import PERIOD_PREFIX
from pleme_redis_django.jobs.interface.endings import (
    Cancelled,
    Completed,
    Ending,
    Failed,
    Failure,
    GivenBack,
    Retried,
)
from pleme_redis_django.jobs.interface.job import (
    SUSPECT_AFTER_CRASHES,
    SUSPECT_AFTER_UNSEEN_DEATHS,
    JobClaim,
    JobStatus,
)
from pleme_redis_django.jobs.interface.json_text import from_json
from pleme_redis_django.models import AbstractJob, JobAttempt, model_label
from pleme_redis_django.orm_store.connection import bounds_of, sqlstate_of, writing
from pleme_redis_django.orm_store.lock_holders import holders_of_rows, locked_table
from pleme_redis_django.orm_store.lookups import any_of


def finish_jobs(model: type[AbstractJob], using: str, endings: Sequence[Ending]) -> list[bool]:
    """Write endings in one transaction; return which were accepted.

    Raises BadEnding, LockedJobs, LockedTable or DoubtfulEndings, and then has written nothing.
    """
    bounds = bounds_of(connections[using])
    try:
        if _is_one_statement(endings, using, bounds):
            accepted = _complete_in_bulk(model, using, endings, bounds)
        else:
            with transaction.atomic(using=using):
                accepted = _write_all(model, using, endings, bounds)
                _keep_attempts(model, using, list(itertools.compress(endings, accepted)))
    except ValueError as error:  # A lone surrogate, or not JSON.
        raise BadEnding(str(error)) from error
    except DatabaseError as error:
        _raise_as_refusal(
            error, model, using, [ending.job_id for ending in endings], bounded=bounds is not None
        )
        raise
    if all(accepted):
        return accepted
    # Looked at only afterwards: a statement that found every row says nothing about the others.
    refused = [ending for ending, was_accepted in zip(endings, accepted, strict=True) if not was_accepted]
    before = iter(_ended_before(model, using, refused))
    return [was_accepted or next(before) for was_accepted in accepted]


def fenced(model: type[AbstractJob], using: str, job_id: UUID, claim: JobClaim) -> QuerySet[Any]:
    """Return the row while it is RUNNING under the claim, else nothing."""
    return model._base_manager.using(using).filter(
        id=job_id, status=JobStatus.RUNNING, worker_id=claim.worker_id, attempt=claim.attempt
    )


def _is_one_statement(
    endings: Sequence[Ending], using: str, bounds: str | None
) -> TypeGuard[Sequence[Completed]]:
    """Whether all of it goes out as one string, and so is one transaction without BEGIN and COMMIT."""
    connection: Any = connections[using]
    return (
        bounds is not None
        and not connection.features.uses_server_side_binding
        and connection.get_autocommit()
        and all(isinstance(ending, Completed) for ending in endings)
    )


def _write_all(
    model: type[AbstractJob], using: str, endings: Sequence[Ending], bounds: str | None
) -> list[bool]:
    completed = [ending for ending in endings if isinstance(ending, Completed)]
    if connections[using].vendor == "postgresql" and completed:
        in_bulk = iter(_complete_in_bulk(model, using, completed, bounds))
        return [
            next(in_bulk) if isinstance(ending, Completed) else _write_one(model, using, ending)
            for ending in endings
        ]
    _send_bounds(using, bounds)
    return [_write_one(model, using, ending) for ending in endings]


def _send_bounds(using: str, bounds: str | None) -> None:
    if bounds is not None:
        with connections[using].cursor() as cursor:
            cursor.execute(bounds)


# The ORM has no UPDATE ... FROM, and one UPDATE a row costs ten times the round trips. What the row is
# compared with all comes out of the arrays: a plan that is made without knowing them, as for a prepared
# statement, can then find a row by its primary key alone, and not go through all that is RUNNING for each.
_COMPLETE_SQL = """
UPDATE {table} AS job
SET status = 'COMPLETED', completed_at = statement_timestamp(), updated_at = statement_timestamp(),
    started_at = COALESCE(job.started_at, statement_timestamp() - make_interval(secs => ending.run_seconds)),
    results = ending.results::jsonb,
    progress = COALESCE(ending.progress::jsonb, job.progress),
    error_message = '', error_details = NULL, error_fingerprint = '',
    unique_slot = CASE WHEN job.unique_slot LIKE '{period}%%' THEN job.unique_slot END,
    crash_count = CASE WHEN job.crash_count < {suspect} THEN job.crash_count ELSE 0 END
FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::int[], %s::float8[], %s::text[], %s::text[])
     WITH ORDINALITY AS ending(id, worker_id, status, attempt, run_seconds, results, progress, number)
WHERE job.id = ending.id AND job.status = ending.status
  AND job.worker_id = ending.worker_id AND job.attempt = ending.attempt
RETURNING ending.number
"""


def _complete_in_bulk(
    model: type[AbstractJob], using: str, endings: Sequence[Completed], bounds: str | None
) -> list[bool]:
    connection: Any = connections[using]
    table = connection.ops.quote_name(model._meta.db_table)
    sql = _COMPLETE_SQL.format(table=table, period=PERIOD_PREFIX, suspect=SUSPECT_AFTER_CRASHES)
    with connection.cursor() as cursor:
        if bounds is not None and connection.features.uses_server_side_binding:
            cursor.execute(bounds)
        elif bounds is not None:
            sql = f"{bounds}; {sql}"  # One round trip for both.
        cursor.execute(sql, _columns(endings))
        while cursor.nextset():
            pass
        if cursor.rowcount == len(endings):
            return [True] * len(endings)
        found = {number for (number,) in cursor.fetchall()}
    return [number in found for number in range(1, len(endings) + 1)]


def _columns(endings: Sequence[Completed]) -> list[Any]:
    """Return the arrays of the statement; those of plain numbers as text, which costs a third."""
    results = [None if ending.results_json == "null" else ending.results_json for ending in endings]
    progress = [None if ending.progress is None else json.dumps(ending.progress) for ending in endings]
    return [
        _array_text(ending.job_id.hex for ending in endings),
        _array_text(ending.claim.worker_id for ending in endings),
        _array_text("RUNNING" for _ in endings),
        _array_text(str(ending.claim.attempt) for ending in endings),
        _array_text(f"{ending.run_seconds:.6f}" for ending in endings),
        results if any(results) else _array_text("NULL" for _ in results),
        progress if any(progress) else _array_text("NULL" for _ in progress),
    ]


# SQLSTATEs (PostgreSQL documentation, appendix A). Refusals of a row for what it says: constraints, views
# with a check option, triggers and their RAISE, limits of the program such as the size of an index entry.
_ROW_CLASSES = frozenset({"22", "23", "44", "54", "P0"})
# Of what is neither the row's nor the server's own state: maybe one row's.
_DOUBTFUL_CLASSES = frozenset({"09", "21", "27", "38", "39", "40", "55", "57014", "XX"})
_LOCK_NOT_AVAILABLE = "55P03"


def _raise_as_refusal(
    error: DatabaseError, model: type[AbstractJob], using: str, job_ids: Sequence[UUID], *, bounded: bool
) -> None:
    """Raise what the finisher parts endings by; return when the error is not about endings."""
    state = sqlstate_of(error)
    if isinstance(error, DataError | IntegrityError) or state[:2] in _ROW_CLASSES:
        raise BadEnding(str(error)) from error
    if state == _LOCK_NOT_AVAILABLE and bounded:
        if held := locked_table(using, [model._meta.db_table, JobAttempt._meta.db_table]):
            raise held from error
        if locked := locked_jobs(model, using, job_ids):
            raise LockedJobs(locked, holders_of_rows(using, model._meta.db_table, locked)) from error
    if state[:2] in _DOUBTFUL_CLASSES or state in _DOUBTFUL_CLASSES:
        raise DoubtfulEndings(str(error)) from error


def locked_jobs(model: type[AbstractJob], using: str, job_ids: Sequence[UUID]) -> set[UUID]:
    """Return which rows another transaction holds at this moment. PostgreSQL only."""
    rows = model._base_manager.using(using).filter(any_of("id", job_ids)).order_by()
    with writing(using):
        free = set(
            rows.select_for_update(skip_locked=True, of=("self",), no_key=True).values_list("id", flat=True)
        )
    return set(rows.values_list("id", flat=True)) - free


def _array_text(items: Iterable[str]) -> str:
    """Return PostgreSQL's array literal of items that need no quotes."""
    return "{" + ",".join(items) + "}"


def _write_one(model: type[AbstractJob], using: str, ending: Ending) -> bool:
    return bool(fenced(model, using, ending.job_id, ending.claim).update(**_changes(ending)))


def _changes(ending: Ending) -> dict[str, Any]:
    """Return what an ending sets, as values and expressions of an ORM update."""
    changes: dict[str, Any] = {"status": ending.status, "updated_at": Now()}
    if ending.progress is not None:
        changes["progress"] = ending.progress
    if ending.status.is_terminal:
        changes["unique_slot"] = _SLOT_AFTER_THE_END
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
        case GivenBack():
            # The worker stays, so that a repeated give-back is recognised as its own.
            changes |= {"claimed_at": None, "started_at": None} | _due(ending.delay_seconds)
            changes |= _waits(JobStatus.PENDING if ending.delay_seconds else JobStatus.QUEUED)
    return changes


_NO_ERROR: dict[str, Any] = {"error_message": "", "error_details": None, "error_fingerprint": ""}
_SLOT_AFTER_THE_END = Case(
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
        "unique_slot": Case(When(_ASKED_TO_END, then=_SLOT_AFTER_THE_END), default=F("unique_slot")),
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
    survived = {"unseen_deaths": 0} if isinstance(ending, Retried) else {}
    return survived | {"crash_count": _ACQUITTED}


def _error(failure: Failure) -> dict[str, Any]:
    return {
        "error_message": failure.message,
        "error_details": failure.details(),
        "error_fingerprint": failure.fingerprint,
    }


def _keep_attempts(model: type[AbstractJob], using: str, endings: Sequence[Ending]) -> None:
    failed = [
        (ending, failure) for ending in endings if (failure := getattr(ending, "failure", None)) is not None
    ]
    if not failed:
        return
    jobs = model._base_manager.using(using).filter(id__in=[ending.job_id for ending, _failure in failed])
    products = dict(jobs.values_list("id", "product"))
    rows = [_attempt(model, products[ending.job_id], ending, failure) for ending, failure in failed]
    # A repeated ending meets the attempt that its first try has kept.
    JobAttempt._base_manager.using(using).bulk_create(rows, ignore_conflicts=True)


def _attempt(model: type[AbstractJob], product: str, ending: Ending, failure: Failure) -> JobAttempt:
    known = ending.run_seconds or None
    return JobAttempt(
        job_model=model_label(model),
        job_id=ending.job_id,
        product=product,
        attempt=ending.claim.attempt,
        worker_id=UUID(ending.claim.worker_id),
        started_at=Now() - timedelta(seconds=known) if known else None,
        error_class=failure.exception_class[:300],
        error_code=failure.error_code[:100],
        message=failure.message,
        traceback=failure.traceback,
    )


def _ended_before(model: type[AbstractJob], using: str, endings: Sequence[Ending]) -> list[bool]:
    """Return which refused endings had been written before: their first reply was lost."""
    rows = model._base_manager.using(using).filter(id__in=[ending.job_id for ending in endings])
    found = {row["id"]: row for row in rows.values(*_TRACES)}
    return [ending.job_id in found and _is_trace_of(ending, **found[ending.job_id]) for ending in endings]


_TRACES = ("id", "worker_id", "attempt", "status", "retry_count", "claimed_at")
# CANCELLED: the job was asked to end before it could wait.
_WAITING = (JobStatus.PENDING.value, JobStatus.QUEUED.value, JobStatus.CANCELLED.value)


def _is_trace_of(ending: Ending, *, worker_id: UUID | None, attempt: int, status: str, **row: Any) -> bool:
    """Whether the row looks as this ending of this very attempt has left it."""
    if (str(worker_id), attempt) != (ending.claim.worker_id, ending.claim.attempt):
        return False
    match ending:
        case GivenBack():
            return status in _WAITING and row["claimed_at"] is None
        case Retried():
            # QUEUED: the retry has become due meanwhile.
            waits = status in _WAITING and row["claimed_at"] is not None
            return waits and row["retry_count"] == ending.retry_count
        case _:
            return status == ending.status
