"""Insertion of unique jobs: stores a new job, or returns the existing one that holds its slot.

The database decides, with UNIQUE(product, unique_slot). In front of it, Redis remembers which job took a slot: the
second enqueue then reads one row, instead of opening a transaction, failing to insert, and looking for the reason.
A wrong or missing memory costs those round trips, never a duplicate.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import OperationalError, connections, transaction
from django.db.models import Q
from django.db.models.functions import Now

from pleme_redis_django.enqueueing.pools import hints_enabled
from pleme_redis_django.enqueueing.stored import Stored
from pleme_redis_django.enqueueing.unique_conflicts import change_holder
from pleme_redis_django.exceptions import UniqueSlotContended
from pleme_redis_django.jobs.definitions.uniqueness import OnConflict, period_seconds, waits_only
from pleme_redis_django.jobs.interface.job import WAITING_STATUSES, JobStatus
from pleme_redis_django.models.indexes import EXPIRING_CONDITION
from pleme_redis_django.models.job import AbstractJob
from pleme_redis_django.orm_store.connection import sqlstate_of
from pleme_redis_django.orm_store.dialects.dialect import Dialect
from pleme_redis_django.orm_store.flow.lines import Line
from pleme_redis_django.orm_store.job_table import JobTable, M
from pleme_redis_django.orm_store.new_rows import NewRow, RowTemplate, jobs_of

INSERT_TRIES = 3
# serialization_failure and deadlock_detected: the same transaction may succeed when it is run again.
_START_AGAIN = ("40001", "40P01")
# What the slot ends with of a job that waits while an equal one is about to start.
_BESIDE = ":2"
_HAS_EXPIRED = EXPIRING_CONDITION & Q(expires_at__lte=Now())


def insert_one_unique(
    dialect: Dialect, table: JobTable[M], template: RowTemplate, row: NewRow, slot: str
) -> Stored[M]:
    """Return the job that holds the slot as Redis remembers it, or else as the database decides."""
    product = template.product
    if not hints_enabled() or (waits_only(slot) and _cannot_keep_waiting(table)):
        return insert_unique(dialect, table, template, [row])
    # Not at the top: a project without Redis imports no redis.
    from pleme_redis_django.redis_state.wakeups.unique_slots import note_slot, take_slot

    remembered = take_slot(product, slot, row.id)
    if remembered is not None and (found := _found(dialect, table, template, row, remembered)) is not None:
        return found
    stored = insert_unique(dialect, table, template, [row])
    if remembered is not None or stored.jobs[0].id != row.id:
        note_slot(product, slot, stored.jobs[0].id)
    return stored


def _found(
    dialect: Dialect, table: JobTable[M], template: RowTemplate, row: NewRow, remembered: UUID
) -> Stored[M] | None:
    """Return the remembered job, changed as the enqueue says; None where the database has to decide."""
    try:
        holder = _holder(dialect, table, template, str(row.unique_slot), remembered)
        left = None if holder is None else change_holder(table, template, row, holder)
    except OperationalError as error:
        if connections[table.using].in_atomic_block or sqlstate_of(error) not in _START_AGAIN:
            raise
        return None  # Somebody else has changed it meanwhile.
    if holder is None or left is None:
        return None
    return Stored(jobs=[holder], lines=left.lines, left_places=left.places)


def insert_unique(
    dialect: Dialect, table: JobTable[M], template: RowTemplate, rows: Sequence[NewRow]
) -> Stored[M]:
    """Insert the rows whose slots are free; return the job of each."""
    if connections[table.using].in_atomic_block:
        return _insert_once(dialect, table, template, rows)
    # Under REPEATABLE READ and SERIALIZABLE, a transaction that meets a concurrent enqueue has to start again.
    for _try in range(INSERT_TRIES - 1):
        try:
            return _insert_once(dialect, table, template, rows)
        except OperationalError as error:
            if sqlstate_of(error) not in _START_AGAIN:
                raise
    return _insert_once(dialect, table, template, rows)


def _insert_once(
    dialect: Dialect, table: JobTable[M], template: RowTemplate, rows: Sequence[NewRow]
) -> Stored[M]:
    """Insert in the order of slots, so that two calls with the same ones cannot deadlock."""
    winners: dict[str | None, M] = {}
    lines: set[Line] = set()
    left_places: list[AbstractJob] = []
    # The last call wins where it replaces; else the first one is there when the others come.
    in_turn = rows if _replaces_holders(template) else reversed(rows)
    open_rows = {row.unique_slot: row for row in in_turn if row.unique_slot}
    # Alone, the enqueue is over when it returns, and the job that it found may start at once.
    keep_waiting = connections[table.using].in_atomic_block
    with transaction.atomic(using=table.using):
        for _try in range(INSERT_TRIES):
            ordered = [row for _slot, row in sorted(open_rows.items())]
            stored = dialect.insert(table, template, ordered)
            new = jobs_of(table.model, table.using, template, [row for row in ordered if row.id in stored])
            winners |= {job.unique_slot: job for job in new}
            losers = [slot for slot in open_rows if slot not in winners]
            holders = _holders(dialect, table, template, losers, keep_waiting=keep_waiting)
            needs_its_own = keep_waiting or _changes_holders(template)
            for slot in sorted(losers):
                if (holder := holders.get(slot)) is None:
                    continue
                if needs_its_own and _is_about_to_start(holder):
                    beside = _beside(dialect, table, template, open_rows[slot], slot)
                    winners[slot] = beside.jobs[0]
                    lines.update(beside.lines)
                    left_places += beside.left_places
                elif (left := change_holder(table, template, open_rows[slot], holder)) is not None:
                    winners[slot] = holder
                    lines.update(left.lines)
                    left_places += left.places
            open_rows = {slot: row for slot, row in open_rows.items() if slot not in winners}
            if not open_rows:
                jobs = [winners[row.unique_slot] for row in rows]
                return Stored(jobs=jobs, lines=lines, left_places=left_places)
        # Inside the block, whose end would otherwise keep the rows of the slots that were free.
        raise UniqueSlotContended(
            f"{template.job_type}: the unique slot of {len(open_rows)} job(s) was taken and freed again "
            f"{INSERT_TRIES} times while this enqueue tried to take it. Nothing was stored. Enqueue again."
        )


def _holders(
    dialect: Dialect, table: JobTable[M], template: RowTemplate, slots: Sequence[str], *, keep_waiting: bool
) -> dict[str | None, M]:
    """Return the jobs that hold the slots, after freeing those of jobs that never run, and of periods that are over."""
    if not slots:
        return {}
    held = table.rows().filter(product=template.product, unique_slot__in=slots)
    # Such a job never runs: a caller that got it in place of a new one would wait forever.
    over = Q(deleted_at__isnull=False)
    seconds = period_seconds(slots[0])
    over |= _HAS_EXPIRED if seconds is None else Q(created_at__lte=Now() - timedelta(seconds=seconds))
    held.filter(over).update(unique_slot=None)
    if not (keep_waiting and waits_only(slots[0])):
        return {job.unique_slot: job for job in held}
    # No lock on a row that is claimed: its worker would wait for the end of this transaction.
    # In the order of slots, so that two calls with the same ones cannot deadlock.
    in_order = held.filter(status__in=WAITING_STATUSES).order_by("unique_slot")
    waiting = dialect.kept_waiting(in_order, slots, to_change=_changes_holders(template))
    holders = {job.unique_slot: job for job in waiting}
    if missing := set(slots).difference(holders):
        holders |= {
            job.unique_slot: job for job in held.filter(unique_slot__in=missing, status=JobStatus.RUNNING)
        }
    return holders


def _holder(dialect: Dialect, table: JobTable[M], template: RowTemplate, slot: str, job_id: UUID) -> M | None:
    """Return the remembered job if the database says that it holds the slot now."""
    held = table.rows().filter(pk=job_id, product=template.product, unique_slot=slot, deleted_at=None)
    seconds = period_seconds(slot)
    is_held = ~_HAS_EXPIRED if seconds is None else Q(created_at__gt=Now() - timedelta(seconds=seconds))
    held = held.filter(is_held)
    keep_waiting = waits_only(slot) and connections[table.using].in_atomic_block
    if waits_only(slot) and (keep_waiting or _changes_holders(template)):
        held = held.filter(status__in=WAITING_STATUSES)
    # One that ran before the commit would not see the change for which it was enqueued again.
    if keep_waiting:
        return next(iter(dialect.kept_waiting(held, [slot], to_change=_changes_holders(template))), None)
    return next(iter(held), None)


def _changes_holders(template: RowTemplate) -> bool:
    return template.uniqueness is not None and template.uniqueness.on_conflict is not OnConflict.KEEP


def _replaces_holders(template: RowTemplate) -> bool:
    return template.uniqueness is not None and template.uniqueness.on_conflict is OnConflict.REPLACE


def _is_about_to_start(holder: AbstractJob) -> bool:
    """Whether a worker has claimed it, and does not know yet whether it may start: else its slot would be free.

    If it starts, that is after the commit of an enqueue which is a transaction of its own, and it sees what was
    written before that. It does not see what another transaction commits later, or what the enqueue wants changed.
    """
    return holder.status == JobStatus.RUNNING and waits_only(holder.unique_slot)


def _beside(dialect: Dialect, table: JobTable[M], template: RowTemplate, row: NewRow, slot: str) -> Stored[M]:
    """Store the row in a slot beside its own, which another job holds for a moment yet, or on if it has to wait.

    Without one, each enqueue would store another row while nobody knows that the process of that job has died.
    """
    if not slot.endswith(_BESIDE):
        return _insert_once(dialect, table, template, [row._replace(unique_slot=f"{slot}{_BESIDE}")])
    # Two processes have died: the next one is alone.
    own = row._replace(unique_slot=None)
    dialect.insert(table, template, [own])
    return Stored(jobs=jobs_of(table.model, table.using, template, [own]))


def _cannot_keep_waiting(table: JobTable[Any]) -> bool:
    """Whether only the attempt to insert keeps others from claiming: a transaction without row locks."""
    connection = connections[table.using]
    return connection.in_atomic_block and not connection.features.has_select_for_update
