"""What an enqueue does to the equal job that is there: nothing, or gives it a new due time, and new parameters."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from django.db.models.functions import Now

from pleme_redis_django.jobs.definitions.uniqueness import OnConflict
from pleme_redis_django.jobs.interface.job import WAITING_STATUSES, JobStatus
from pleme_redis_django.models.job import AbstractJob
from pleme_redis_django.orm_store.flow.gates import line_of
from pleme_redis_django.orm_store.flow.lines import Line, lines_of_jobs
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.new_rows import NewRow, RowTemplate


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a job has left that an enqueue changed, as ``Stored`` says it."""

    lines: Collection[Line] = ()
    places: Sequence[AbstractJob] = ()


def change_holder(
    table: JobTable[Any], template: RowTemplate, row: NewRow, holder: AbstractJob
) -> Left | None:
    """Change the job that holds the slot as the enqueue says, while it waits; return what it has left.

    Returns None when a worker has claimed it meanwhile, so that the slot may be free: the statement waits for a claim
    that is under way. One that runs, or has ended, is left as it is.
    """
    unique = template.uniqueness
    if unique is None or unique.on_conflict is OnConflict.KEEP or holder.status not in WAITING_STATUSES:
        return Left()
    changes = _changes(template, row, unique.on_conflict, holder)
    waiting = table.rows().filter(
        pk=holder.pk, unique_slot=row.unique_slot, status__in=WAITING_STATUSES, deleted_at=None
    )
    # It may have had its turn, and stand in another line now.
    before = copy.copy(holder)
    if not waiting.update(**changes):
        return None
    for name, value in changes.items():
        if hasattr(value, "resolve_expression"):
            # The database knows it; it is read when it is asked for.
            holder.__dict__.pop(name, None)
        else:
            setattr(holder, name, value)
    return Left(
        lines=lines_of_jobs([before]), places=[before] if _has_left_its_place(before, changes) else []
    )


def _has_left_its_place(before: AbstractJob, changes: dict[str, Any]) -> bool:
    """Whether others may go on where it was.

    It was ready, and is not any more, or counts elsewhere: limits may have let it in before them. Or it waited with a
    cost for which too few places were free, and lighter ones behind it.
    """
    if before.status == JobStatus.BLOCKED:
        return before.cost > 1
    stays = changes["status"] == JobStatus.QUEUED
    key = changes.get("concurrency_key", before.concurrency_key)
    return before.status == JobStatus.QUEUED and not (stays and key == before.concurrency_key)


def _changes(
    template: RowTemplate, row: NewRow, on_conflict: OnConflict, holder: AbstractJob
) -> dict[str, Any]:
    is_replaced = on_conflict is OnConflict.REPLACE
    # Extended, it keeps its parameters, and with them its keys.
    order_key = row.order_key if is_replaced else holder.order_key
    # One that has begun waits there until it is due as well: PENDING, it would have the turn that another may have.
    in_line = order_key is not None and (template.run_after is None or holder.attempt > 0)
    ready_or_due_later = JobStatus.QUEUED if template.run_after is None else JobStatus.PENDING
    changes: dict[str, Any] = {
        "status": JobStatus.BLOCKED if in_line else ready_or_due_later,
        "run_after": Now() if template.run_after is None else template.run_after,
        "updated_at": Now(),
        "blocked_on": line_of(holder.product, str(order_key)) if in_line else None,
    }
    if is_replaced:
        changes |= {"parameters": row.parameters, "retry_count": 0}
        changes |= {"concurrency_key": row.concurrency_key, "order_key": order_key}
    if template.expires_at is not None:
        changes["expires_at"] = template.expires_at
    elif template.expires_in_seconds is not None:
        changes["expires_at"] = Now() + timedelta(seconds=template.expires_in_seconds)
    return changes
