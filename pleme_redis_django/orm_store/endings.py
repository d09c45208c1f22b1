"""Endings as fenced updates: which were accepted, which had been written before, what is kept of a failure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeGuard
from uuid import UUID

from django.db import DatabaseError, connections, transaction
from django.db.models.functions import Now

from pleme_redis_django.exceptions import BadEnding
from pleme_redis_django.jobs.interface.endings import Completed, Ending, Failure, GivenBack, Retried, Snoozed
from pleme_redis_django.jobs.interface.job import WAITING_STATUSES, JobStatus
from pleme_redis_django.models.job import AbstractJob, model_label
from pleme_redis_django.models.job_attempt import JobAttempt
from pleme_redis_django.orm_store.connection import bounds_of
from pleme_redis_django.orm_store.dialects.dialect import Dialect
from pleme_redis_django.orm_store.ending_changes import ending_update
from pleme_redis_django.orm_store.job_table import JobTable


def finish_jobs(dialect: Dialect, table: JobTable[Any], endings: Sequence[Ending]) -> list[bool]:
    """Write endings in one transaction; return which were accepted.

    Raises BadEnding, LockedJobs, LockedTable or DoubtfulEndings, and then has written nothing.
    """
    using, bounds = table.using, bounds_of(connections[table.using])
    try:
        if _is_one_statement(endings, using, bounds):
            accepted = dialect.complete(table, endings, bounds)
        else:
            accepted = _write_all(dialect, table, endings, bounds)
    except ValueError as error:  # A lone surrogate, or not JSON.
        raise BadEnding(str(error)) from error
    except DatabaseError as error:
        job_ids = [ending.job_id for ending in endings]
        refusal = dialect.refusal(table, error, job_ids, bounded=bounds is not None)
        if refusal is not None:
            raise refusal from error
        raise
    if all(accepted):
        return accepted
    # Looked at only afterwards: a statement that found every row says nothing about the others.
    refused = [ending for ending, was_accepted in zip(endings, accepted, strict=True) if not was_accepted]
    before = iter(_ended_before(table, refused))
    return [was_accepted or next(before) for was_accepted in accepted]


def _is_one_statement(
    endings: Sequence[Ending], using: str, bounds: str | None
) -> TypeGuard[Sequence[Completed]]:
    """Whether all of it goes out as one string, and so is one transaction without BEGIN and COMMIT."""
    connection: Any = connections[using]
    return (
        bounds is not None
        and not connection.features.uses_server_side_binding
        and connection.get_autocommit()
        and set(map(type, endings)) == {Completed}
    )


def _write_all(
    dialect: Dialect, table: JobTable[Any], endings: Sequence[Ending], bounds: str | None
) -> list[bool]:
    """Write endings of any kind, and what is kept of failures.

    What can be put together or read beforehand is: from the first ending on the transaction holds rows.
    """
    completed = [ending for ending in endings if isinstance(ending, Completed)]
    others = [ending_update(table, ending) for ending in endings if not isinstance(ending, Completed)]
    update_others = dialect.prepared_updates(table.using, others)
    with transaction.atomic(using=table.using):
        has_failures = any(getattr(ending, "failure", None) is not None for ending in endings)
        if has_failures or not completed:
            _send_bounds(table.using, bounds)
            bounds = None
        attempts = _attempts(table, endings) if has_failures else []
        in_bulk = iter(dialect.complete(table, completed, bounds) if completed else [])
        one_by_one = iter(update_others())
        accepted = [next(in_bulk if isinstance(ending, Completed) else one_by_one) for ending in endings]
        kept = [attempt for attempt in itertools.compress(attempts, accepted) if attempt is not None]
        if kept:
            # A repeated ending meets the attempt that its first try has kept.
            JobAttempt._base_manager.using(table.using).bulk_create(kept, ignore_conflicts=True)
    return accepted


def _send_bounds(using: str, bounds: str | None) -> None:
    if bounds is not None:
        with connections[using].cursor() as cursor:
            cursor.execute(bounds)


def _attempts(table: JobTable[Any], endings: Sequence[Ending]) -> list[JobAttempt | None]:
    """Return of each ending what is kept of its failure; None: it is none."""
    failures = [getattr(ending, "failure", None) for ending in endings]
    failed = [ending.job_id for ending, failure in zip(endings, failures, strict=True) if failure is not None]
    products = dict(table.rows().filter(id__in=failed).values_list("id", "product")) if failed else {}
    return [
        # The ending of a row that is gone is refused.
        None if failure is None else _attempt(table.model, products.get(ending.job_id, ""), ending, failure)
        for ending, failure in zip(endings, failures, strict=True)
    ]


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


def _ended_before(table: JobTable[Any], endings: Sequence[Ending]) -> list[bool]:
    """Return which refused endings had been written before: their first reply was lost."""
    rows = table.rows().filter(id__in=[ending.job_id for ending in endings])
    found = {row["id"]: row for row in rows.values(*_TRACES)}
    return [ending.job_id in found and _is_trace_of(ending, **found[ending.job_id]) for ending in endings]


_TRACES = ("id", "worker_id", "attempt", "status", "retry_count", "claimed_at")
# CANCELLED: the job was asked to end before it could wait.
_WAITING = (*(status.value for status in WAITING_STATUSES), JobStatus.CANCELLED.value)


def _is_trace_of(ending: Ending, *, worker_id: UUID | None, attempt: int, status: str, **row: Any) -> bool:
    """Whether the row looks as this ending of this very attempt has left it."""
    if (str(worker_id), attempt) != (ending.claim.worker_id, ending.claim.attempt):
        return False
    match ending:
        case GivenBack():
            return status in _WAITING and row["claimed_at"] is None
        case Retried() | Snoozed():
            # QUEUED: the retry has become due meanwhile.
            waits = status in _WAITING and row["claimed_at"] is not None
            return waits and row["retry_count"] == ending.retry_count
        case _:
            return status == ending.status
