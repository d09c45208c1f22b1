"""Claims: which ready rows a worker takes, and which rows become ready. Reads the database's clock."""

from __future__ import annotations

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
from pleme_redis_django.jobs.uniqueness import waits_only
from pleme_redis_django.models import AbstractJob
from pleme_redis_django.orm_store.compiled_query import CompiledQuery, compile_query
from pleme_redis_django.orm_store.lookups import any_of, uuid_array

M = TypeVar("M", bound=AbstractJob)

# Jobs that nobody takes gather at the head of the queue, so that a look at its head finds them.
UNSERVED_SAMPLE = 1_000

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
        "crash_count",
        "unique_slot",
    }
)


def claim_jobs(model: type[M], using: str, worker_id: str, limit: int, selection: JobSelection) -> list[M]:
    """Claim up to ``limit`` ready rows in claim order; four round trips however many they are."""
    with transaction.atomic(using=using):
        jobs = _claim_query(model, using, selection, limit).fetch()
        if jobs:
            _take(model, using, worker_id, jobs)
    return jobs


@functools.lru_cache(maxsize=1024)
def _claim_query(model: type[M], using: str, selection: JobSelection, limit: int) -> CompiledQuery[M]:
    rows = ready_rows(model, using, selection).only(*claimed_fields(model))
    if connections[using].features.has_select_for_update_skip_locked:
        rows = rows.select_for_update(skip_locked=True)
    return compile_query(rows[:limit], using)


@functools.lru_cache(maxsize=64)
def ready_rows(model: type[M], using: str, selection: JobSelection) -> QuerySet[M]:
    """Return the ready rows of a selection, in claim order: a query to go on from, built once."""
    rows = model._base_manager.using(using).filter(status=JobStatus.QUEUED, deleted_at=None)
    rows = rows.filter(crash_count__gt=0) if selection.suspects else rows.filter(crash_count=0)
    if selection.queue_names is not None:
        rows = rows.filter(_queue_condition(selection.queue_names))
    if selection.product is not None:
        rows = rows.filter(product=selection.product)
    if selection.job_types is not None:
        rows = rows.filter(job_type__in=sorted(selection.job_types))
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


def look_ahead(model: type[M], using: str, selection: JobSelection) -> Outlook:
    """Return what is ready and what is due next, in one transaction."""
    wait = ExpressionWrapper(Min("run_after") - Now(), output_field=DurationField())
    suspects = JobSelection(
        queue_names=selection.queue_names,
        product=selection.product,
        job_types=selection.job_types,
        suspects=True,
    )
    with transaction.atomic(using=using):
        due_in: timedelta | None = pending_rows(model, using).aggregate(wait=wait)["wait"]
        return Outlook(
            ready=ready_rows(model, using, selection).exists(),
            suspects=ready_rows(model, using, suspects).exists(),
            due_in_seconds=None if due_in is None else due_in.total_seconds(),
        )


def count_unserved(model: type[M], using: str, known_types: frozenset[str]) -> dict[str, int]:
    """Return the ready rows of unknown types by type, among the first ``UNSERVED_SAMPLE`` in claim order."""
    types = ready_rows(model, using, JobSelection()).values_list("job_type", flat=True)[:UNSERVED_SAMPLE]
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


# The ORM's update() compiles this anew for each claim, which costs more than to run it.
_TAKE_SQL = """
UPDATE {table}
SET status = 'RUNNING', worker_id = %s, attempt = attempt + 1, claimed_at = statement_timestamp(),
    started_at = NULL, updated_at = statement_timestamp()
WHERE id = ANY(%s::uuid[])
"""


def _take(model: type[M], using: str, worker_id: str, jobs: Sequence[M]) -> None:
    rows = model._base_manager.using(using)
    connection = connections[using]
    if connection.vendor == "postgresql":
        table = connection.ops.quote_name(model._meta.db_table)
        with connection.cursor() as cursor:
            cursor.execute(_TAKE_SQL.format(table=table), [worker_id, uuid_array(job.id for job in jobs)])
    else:
        rows.filter(id__in=[job.id for job in jobs]).update(
            status=JobStatus.RUNNING,
            worker_id=worker_id,
            attempt=F("attempt") + 1,
            claimed_at=Now(),
            started_at=Value(None),
            updated_at=Now(),
        )
    # "while_waiting" ends where the attempt begins, and is not restored by a retry or a rescue:
    # a restored slot would collide with the job that has taken it meanwhile.
    free = [job.id for job in jobs if waits_only(job.unique_slot)]
    if free:
        rows.filter(any_of("id", free)).update(unique_slot=None)
    worker = UUID(worker_id)
    for job in jobs:
        _mark_taken(job, worker)


def _mark_taken(job: Any, worker_id: UUID) -> None:
    job.status = JobStatus.RUNNING
    job.worker_id = worker_id
    job.attempt += 1
