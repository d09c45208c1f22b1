"""Ready rows: the queries that every claim and look ahead begins with, and what of a row a claim loads."""

from __future__ import annotations

import functools
from typing import Any, TypeVar

from django.db import connections
from django.db.models import F, FloatField, Func, Q, QuerySet

from pleme_redis_django.jobs.interface.job import SUSPECT_AFTER_CRASHES, JobStatus
from pleme_redis_django.jobs.interface.store import JobSelection
from pleme_redis_django.models import AbstractJob
from pleme_redis_django.orm_store.pauses import NOTHING_PAUSED, Pauses, none_but

M = TypeVar("M", bound=AbstractJob)

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


@functools.lru_cache(maxsize=64)
def ready_rows(
    model: type[M], using: str, selection: JobSelection, pauses: Pauses = NOTHING_PAUSED
) -> QuerySet[M]:
    """Return the ready rows of a selection, in claim order: a query to go on from, built once."""
    rows = model._base_manager.using(using).filter(status=JobStatus.QUEUED, deleted_at=None)
    rows = rows.filter(is_suspect() if selection.suspects else is_no_suspect())
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


def is_suspect() -> Q:
    """Return the condition of a job that runs alone, as the partial indexes say it."""
    return Q(crash_count__gte=SUSPECT_AFTER_CRASHES)


def is_no_suspect() -> Q:
    """Return the condition of a job that runs beside others, as the partial indexes say it."""
    return Q(crash_count__lt=SUSPECT_AFTER_CRASHES)


def _queue_condition(queue_names: tuple[str, ...]) -> Q:
    # Only an equation lets the index of queues give the claim order.
    return Q(queue_name=queue_names[0]) if len(queue_names) == 1 else Q(queue_name__in=queue_names)


def claimable_rows(model: type[M], using: str, selection: JobSelection, pauses: Pauses) -> QuerySet[M]:
    """Return the ready rows as a claim loads them; none while there is a pause that ``pauses`` does not have."""
    rows = ready_rows(model, using, selection, pauses).only(*claimed_fields(model))
    loaded: QuerySet[M] = rows.annotate(waited_seconds=SecondsSince("run_after"))
    return loaded.filter(none_but(pauses, model, using))


class SecondsSince(Func):
    """How long ago a time was, in seconds by the database's clock; NULL where its SQL is not known here.

    Not as an interval: reading one costs a claim of many jobs three times as much as a number does.
    """

    output_field = FloatField()
    template = "NULL"

    def as_postgresql(self, compiler: Any, connection: Any) -> Any:
        template = "EXTRACT(EPOCH FROM STATEMENT_TIMESTAMP() - %(expressions)s)::float8"
        return self.as_sql(compiler, connection, template=template)

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        template = "((JULIANDAY('now') - JULIANDAY(%(expressions)s)) * 86400.0)"
        return self.as_sql(compiler, connection, template=template)


def pending_rows(model: type[M], using: str) -> QuerySet[M]:
    """Return the rows that are not due yet, or wait to be promoted."""
    return model._base_manager.using(using).filter(status=JobStatus.PENDING, deleted_at=None)


@functools.cache
def claimed_fields(model: type[AbstractJob]) -> tuple[str, ...]:
    """Return the fields that a claim loads: the engine's, and all that a project's model adds."""
    engine_fields = {field.name for field in AbstractJob._meta.get_fields()}
    return tuple(
        field.name
        for field in model._meta.concrete_fields
        if field.name in _CLAIMED_FIELDS or field.name not in engine_fields
    )


def is_merged(using: str, selection: JobSelection, pauses: Pauses) -> bool:
    """Whether the first jobs are looked for queue by queue, past the backlog of a paused one."""
    several = selection.queue_names is None or len(selection.queue_names) > 1
    closed = bool(pauses) and bool(pauses.closed_queues(selection.product))
    return closed and several and not selection.suspects and connections[using].vendor == "postgresql"


def has_named_queues(using: str, selection: JobSelection) -> bool:
    """Whether several queues are named: their first jobs may stand behind the backlog of another one."""
    several = selection.queue_names is not None and len(selection.queue_names) > 1
    return several and not selection.suspects and connections[using].vendor == "postgresql"
