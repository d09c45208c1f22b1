"""JobTable: a job model on a database, and what each status means of its rows.

Claims, look-aheads, counts and pages all ask it. What differs between databases is in ``dialects``.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db import connections
from django.db.models import Exists, F, Q, QuerySet

from pleme_redis_django.jobs.interface.job import SUSPECT_AFTER_CRASHES, JobClaim, JobStatus
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models.flow_limit import FlowGate, FlowLimit
from pleme_redis_django.models.indexes import (
    BLOCKED_CONDITION,
    FAILED_CONDITION,
    PENDING_CONDITION,
    READY_CONDITION,
    READY_SUSPECT_CONDITION,
)
from pleme_redis_django.models.job import AbstractJob, model_label
from pleme_redis_django.models.queue_pause import QueuePause
from pleme_redis_django.orm_store.lookups import SecondsSince
from pleme_redis_django.orm_store.narrowing import narrowed
from pleme_redis_django.orm_store.pauses import NOTHING_PAUSED, Pauses

M = TypeVar("M", bound=AbstractJob)

EVERY_JOB = JobSelection()
EVERY_SUSPECT = JobSelection(suspects=True)

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
        "snoozes",
        "timeout_seconds",
        "expires_at",
        "unique_slot",
        "concurrency_key",
        "order_key",
        "cost",
    }
)


@dataclasses.dataclass(frozen=True, slots=True)
class JobTable(Generic[M]):
    """The rows of ``model`` on the database alias ``using``."""

    model: type[M]
    using: str
    loads_metadata: bool = False
    """Whether claims load them, for the middleware of attempts; nobody else reads them often."""

    def rows(self) -> QuerySet[M]:
        """Return every row, whatever managers the model has."""
        return self.model._base_manager.using(self.using)

    def existing(self, *statuses: JobStatus) -> QuerySet[M]:
        """Return the rows that are not deleted: those in one of the statuses, or all."""
        rows = self.rows().filter(deleted_at=None)
        return rows.filter(status_condition(statuses)) if statuses else rows

    def ready(self, selection: JobSelection = EVERY_JOB, pauses: Pauses = NOTHING_PAUSED) -> QuerySet[M]:
        """Return the ready rows of a selection, in claim order: a query to go on from, built once."""
        # A copy: what is read through it must not stay in the one that is kept.
        return _ready(self, selection, pauses).all()

    def claimable(self, selection: JobSelection, pauses: Pauses, *, is_limited: bool = False) -> QuerySet[M]:
        """Return the ready rows as a claim loads them; none while there is a pause that ``pauses`` does not have.

        None as well while there is a limit, unless the caller knows of one.
        """
        rows = self.ready(selection, pauses).only(
            *claimed_fields(self.model, with_metadata=self.loads_metadata)
        )
        loaded: QuerySet[Any] = rows.annotate(waited_seconds=SecondsSince("run_after"))
        unknown = self.pauses().exclude(id__in=pauses.ids) if pauses.ids else self.pauses()
        loaded = loaded.filter(~Exists(unknown))
        return loaded if is_limited else loaded.filter(~Exists(self.limits()))

    def pending(self) -> QuerySet[M]:
        """Return the rows that are not due yet, or wait to be promoted."""
        return self.rows().filter(PENDING_CONDITION)

    def blocked(self) -> QuerySet[M]:
        """Return the rows that are due, and wait at a gate of flow control."""
        return self.rows().filter(BLOCKED_CONDITION)

    def failed(self) -> QuerySet[M]:
        """Return the rows that ended FAILED and are not deleted."""
        return self.rows().filter(FAILED_CONDITION)

    def running(self) -> QuerySet[M]:
        """Return the rows that a worker holds, deleted ones too."""
        return self.rows().filter(status=JobStatus.RUNNING)

    def running_under(self, job_id: UUID, claim: JobClaim) -> QuerySet[M]:
        """Return the row while it is RUNNING under the claim, else nothing: the fence of every write."""
        return self.running().filter(id=job_id, worker_id=claim.worker_id, attempt=claim.attempt)

    def pauses(self) -> QuerySet[QueuePause]:
        return QueuePause._base_manager.using(self.using).filter(job_model=model_label(self.model))

    def limits(self) -> QuerySet[FlowLimit]:
        return FlowLimit._base_manager.using(self.using).filter(job_model=model_label(self.model))

    def gates(self) -> QuerySet[FlowGate]:
        """Return the gates at which the rates of this model count."""
        return FlowGate._base_manager.using(self.using).filter(limit__job_model=model_label(self.model))

    @property
    def sql_name(self) -> str:
        """Its name as SQL has it, quoted."""
        return connections[self.using].ops.quote_name(self.model._meta.db_table)


def status_condition(statuses: Collection[JobStatus]) -> Q:
    """Return the condition of some statuses, in the form that the partial indexes answer."""
    condition = Q(status=next(iter(statuses))) if len(statuses) == 1 else Q(status__in=sorted(statuses))
    if set(statuses) == {JobStatus.QUEUED}:
        # Each half is the condition of an index; without them the planner reads the table.
        condition &= Q(crash_count__lt=SUSPECT_AFTER_CRASHES) | Q(crash_count__gte=SUSPECT_AFTER_CRASHES)
    return condition


@functools.lru_cache(maxsize=64)
def _ready(table: JobTable[Any], selection: JobSelection, pauses: Pauses) -> QuerySet[Any]:
    rows = table.rows().filter(READY_SUSPECT_CONDITION if selection.suspects else READY_CONDITION)
    if selection.queue_names is not None:
        rows = rows.filter(_queue_condition(selection.queue_names))
    rows = rows.filter(narrowed(selection, pauses))
    if selection.suspects:
        return rows.order_by("run_after")
    return rows.order_by(F("priority").desc(), "run_after", "id")


def _queue_condition(queue_names: tuple[str, ...]) -> Q:
    # Only an equation lets the index of queues give the claim order.
    return Q(queue_name=queue_names[0]) if len(queue_names) == 1 else Q(queue_name__in=queue_names)


@functools.cache
def claimed_fields(model: type[AbstractJob], *, with_metadata: bool = False) -> tuple[str, ...]:
    """Return the fields that a claim loads: the engine's, and all that a project's model adds."""
    engine_fields = {field.name for field in AbstractJob._meta.get_fields()}
    return tuple(
        field.name
        for field in model._meta.concrete_fields
        if field.name in _CLAIMED_FIELDS
        or field.name not in engine_fields
        or (with_metadata and field.name == "metadata")
    )
