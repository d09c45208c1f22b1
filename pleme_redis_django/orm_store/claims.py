"""Claims: which ready rows a worker takes, and which rows become ready. Reads the database's clock."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from django.db import connections, transaction
from django.db.models import DurationField, ExpressionWrapper, F, Min, Q, QuerySet, Value
from django.db.models.functions import Now

from pleme_redis_django.jobs.job import JobStatus
from pleme_redis_django.jobs.store import JobSelection, Outlook
from pleme_redis_django.jobs.uniqueness import WAITING_PREFIX, waits_only
from pleme_redis_django.models import AbstractJob
from pleme_redis_django.orm_store.compiled_query import CompiledQuery, compile_query
from pleme_redis_django.orm_store.lookups import any_of
from pleme_redis_django.orm_store.open_queues import first_ready
from pleme_redis_django.orm_store.pauses import NOTHING_PAUSED, Pauses, is_closed, none_but

M = TypeVar("M", bound=AbstractJob)

# Jobs that nobody takes gather at the head of the queue, so that a look at its head finds them.
UNSERVED_SAMPLE = 1_000
# How often a claim beside paused queues looks for other jobs when those it saw were taken by others.
MERGE_ROUNDS = 3

# What the engine and a handler read of a claimed row; the rest is loaded when it is asked for.
_CLAIMED_FIELDS = frozenset(
    {
        "id",
        "product",
        "job_type",
        "queue_name",
        "priority",
        "parameters",
        "configuration",
        "attempt",
        "retry_count",
        "max_retries",
        "run_after",
        "crash_count",
        "unique_slot",
    }
)


def claim_jobs(
    model: type[M], using: str, worker_id: str, limit: int, selection: JobSelection, pauses: Pauses
) -> list[M]:
    """Claim up to ``limit`` ready rows; return them in claim order. One round trip on PostgreSQL.

    Nothing when there is a pause that ``pauses`` does not have. Beside paused queues it is one round
    trip more, and one for each queue that has some of the first jobs.
    """
    if is_closed(selection, pauses):
        return []
    if _is_merged(using, selection, pauses):
        jobs = _claim_by_queue(model, using, worker_id, limit, selection, pauses)
    else:
        jobs = _claim(model, using, worker_id, limit, selection, pauses)
    # A join keeps no order, though it mostly comes out in that of the subquery.
    jobs.sort(key=_suspect_order if selection.suspects else _claim_order)
    worker = UUID(worker_id)
    for job in jobs:
        _mark_taken(job, worker)
    return jobs


def _claim(
    model: type[M], using: str, worker_id: str, limit: int, selection: JobSelection, pauses: Pauses
) -> list[M]:
    if connections[using].vendor == "postgresql":
        # One statement is atomic by itself; inside the caller's transaction, a failure is the caller's,
        # and how it commits is too.
        commit_mode = None if connections[using].in_atomic_block else "off"
        with transaction.mark_for_rollback_on_error(using=using):
            return _claim_statement(model, using, selection, limit, pauses).fetch(commit_mode, worker_id)
    with transaction.atomic(using=using):
        jobs = list(_claimable_rows(model, using, selection, pauses)[:limit])
        _take(model, using, worker_id, jobs)
    return jobs


def _is_merged(using: str, selection: JobSelection, pauses: Pauses) -> bool:
    """Whether the first jobs are looked for queue by queue, past a backlog that is paused."""
    several = selection.queue_names is None or len(selection.queue_names) > 1
    return bool(pauses) and several and not selection.suspects and connections[using].vendor == "postgresql"


def _claim_by_queue(
    model: type[M], using: str, worker_id: str, limit: int, selection: JobSelection, pauses: Pauses
) -> list[M]:
    jobs: list[M] = []
    for _round in range(MERGE_ROUNDS):
        first = first_ready(model, using, selection, limit - len(jobs), pauses)
        claimed: list[M] = []
        for queue_name, share in Counter(first).items():
            narrowed = dataclasses.replace(selection, queue_names=(queue_name,))
            claimed += _claim(model, using, worker_id, share, narrowed, pauses)
        jobs += claimed
        # Fewer than were seen: other workers have taken them, and there may be more behind.
        if len(claimed) == len(first):
            break
    return jobs


def _claim_order(job: AbstractJob) -> tuple[Any, ...]:
    return -job.priority, job.run_after, job.id


def _suspect_order(job: AbstractJob) -> Any:
    return job.run_after


# The ORM writes the SELECT ... FOR UPDATE SKIP LOCKED, and has no UPDATE ... FROM. As one statement
# they are one round trip where BEGIN, SELECT, UPDATE and COMMIT are four. MATERIALIZED: a subquery
# that the planner may run more than once would lock more rows than its LIMIT.
# "while_waiting" slots end where the attempt begins, and are not restored by a retry or a rescue:
# a restored slot would collide with the job that has taken it meanwhile.
# A claim is not waited for on disk (https://www.postgresql.org/docs/current/wal-async-commit.html): a
# crash of the database server may make the row ready again, and the ending of the attempt that it
# forgot is refused. Said for this statement's own transaction alone, since a session may be PgBouncer's.
_CLAIM_SQL = """
WITH ready AS MATERIALIZED ({ready}),
     commit_mode AS MATERIALIZED (
         SELECT set_config('synchronous_commit', COALESCE(%s, current_setting('synchronous_commit')), true)
     )
UPDATE {table} AS job
SET status = 'RUNNING', worker_id = %s, attempt = job.attempt + 1, claimed_at = statement_timestamp(),
    started_at = NULL, updated_at = statement_timestamp(),
    unique_slot = CASE WHEN job.unique_slot LIKE '{waiting}%%' THEN NULL ELSE job.unique_slot END
FROM ready, commit_mode
WHERE job.id = ready.id
RETURNING ready.*
"""


@functools.lru_cache(maxsize=1024)
def _claim_statement(
    model: type[M], using: str, selection: JobSelection, limit: int, pauses: Pauses
) -> CompiledQuery[M]:
    rows = _claimable_rows(model, using, selection, pauses)
    # The ORM compiles a query that locks rows only inside a transaction; nothing is sent in this one.
    with transaction.atomic(using=using, savepoint=False):
        ready = compile_query(rows.select_for_update(skip_locked=True)[:limit], using)
    if ready.sql is None:
        return ready
    table = connections[using].ops.quote_name(model._meta.db_table)
    sql = _CLAIM_SQL.format(ready=ready.sql, table=table, waiting=WAITING_PREFIX)
    return dataclasses.replace(ready, sql=sql)


def _claimable_rows(model: type[M], using: str, selection: JobSelection, pauses: Pauses) -> QuerySet[M]:
    rows = ready_rows(model, using, selection, pauses).only(*claimed_fields(model))
    return rows.filter(none_but(pauses, model, using))


@functools.lru_cache(maxsize=64)
def ready_rows(
    model: type[M], using: str, selection: JobSelection, pauses: Pauses = NOTHING_PAUSED
) -> QuerySet[M]:
    """Return the ready rows of a selection, in claim order: a query to go on from, built once."""
    rows = model._base_manager.using(using).filter(status=JobStatus.QUEUED, deleted_at=None)
    rows = rows.filter(crash_count__gt=0) if selection.suspects else rows.filter(crash_count=0)
    if selection.queue_names is not None:
        rows = rows.filter(_queue_condition(selection.queue_names))
    if selection.product is not None:
        rows = rows.filter(product=selection.product)
    if selection.job_types is not None:
        rows = rows.filter(job_type__in=sorted(selection.job_types))
    if pauses:
        rows = rows.filter(pauses.condition(selection.product))
    if selection.suspects:
        return rows.order_by("run_after")
    return rows.order_by(F("priority").desc(), "run_after", "id")


def _queue_condition(queue_names: tuple[str, ...]) -> Q:
    # Only an equation lets the index of queues give the claim order.
    return Q(queue_name=queue_names[0]) if len(queue_names) == 1 else Q(queue_name__in=queue_names)


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


def pending_rows(model: type[M], using: str) -> QuerySet[M]:
    """Return the rows that are not due yet, or wait to be promoted."""
    return model._base_manager.using(using).filter(status=JobStatus.PENDING, deleted_at=None)


def look_ahead(model: type[M], using: str, selection: JobSelection, pauses: Pauses) -> Outlook:
    """Return what is ready and what is due next."""
    wait = ExpressionWrapper(Min("run_after") - Now(), output_field=DurationField())
    suspects = dataclasses.replace(selection, suspects=True)
    due_in: timedelta | None = pending_rows(model, using).aggregate(wait=wait)["wait"]
    return Outlook(
        ready=_is_ready(model, using, selection, pauses),
        suspects=ready_rows(model, using, suspects, pauses).exists(),
        due_in_seconds=None if due_in is None else due_in.total_seconds(),
    )


def _is_ready(model: type[M], using: str, selection: JobSelection, pauses: Pauses) -> bool:
    if is_closed(selection, pauses):
        return False
    if _is_merged(using, selection, pauses):
        return bool(first_ready(model, using, selection, 1, pauses))
    return ready_rows(model, using, selection, pauses).exists()


def count_unserved(model: type[M], using: str, known_types: frozenset[str], pauses: Pauses) -> dict[str, int]:
    """Return the ready rows of unknown types by type, among the first ``UNSERVED_SAMPLE`` in claim order."""
    ready = ready_rows(model, using, JobSelection(), pauses)
    types = ready.values_list("job_type", flat=True)[:UNSERVED_SAMPLE]
    return dict(Counter(job_type for job_type in types if job_type not in known_types))


@functools.cache
def claimed_fields(model: type[AbstractJob]) -> tuple[str, ...]:
    """Return the fields that a claim loads: the engine's, and all that a project's model adds."""
    engine_fields = {field.name for field in AbstractJob._meta.get_fields()}
    return tuple(
        field.name
        for field in model._meta.concrete_fields
        if field.name in _CLAIMED_FIELDS or field.name not in engine_fields
    )


def _take(model: type[M], using: str, worker_id: str, jobs: Sequence[M]) -> None:
    rows = model._base_manager.using(using)
    rows.filter(any_of("id", [job.id for job in jobs])).update(
        status=JobStatus.RUNNING,
        worker_id=worker_id,
        attempt=F("attempt") + 1,
        claimed_at=Now(),
        started_at=Value(None),
        updated_at=Now(),
    )
    free = [job.id for job in jobs if waits_only(job.unique_slot)]
    rows.filter(any_of("id", free)).update(unique_slot=None)


def _mark_taken(job: Any, worker_id: UUID) -> None:
    job.status = JobStatus.RUNNING
    job.worker_id = worker_id
    job.attempt += 1
