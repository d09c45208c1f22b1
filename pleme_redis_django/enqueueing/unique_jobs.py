"""One unique job: whether another one holds its slot already.

The database decides, with UNIQUE(product, unique_slot). In front of it, Redis remembers who took a
slot: whoever comes second then reads one row, instead of opening a transaction, failing to insert,
and looking for the reason. A wrong or missing memory costs those round trips, never a duplicate.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.db import connections
from django.db.models import QuerySet
from django.db.models.functions import Now

from pleme_redis_django.enqueueing.pools import hints_enabled
from pleme_redis_django.jobs.definitions.uniqueness import period_seconds, waits_only
from pleme_redis_django.models import Job
from pleme_redis_django.redis_state.wakeups.unique_slots import note_slot, take_slot


def holder_or_insert(using: str, product: str, slot: str, job_id: UUID, insert: Callable[[], Job]) -> Job:
    """Return the job that holds the slot, or what ``insert()`` stored or found."""
    if not hints_enabled() or (waits_only(slot) and _cannot_keep_waiting(using)):
        return insert()
    remembered = take_slot(product, slot, job_id)
    holder = None if remembered is None else _confirmed(using, product, slot, remembered)
    if holder is not None:
        return holder
    job = insert()
    if remembered is not None or job.id != job_id:
        note_slot(product, slot, job.id)
    return job


def _confirmed(using: str, product: str, slot: str, job_id: UUID) -> Job | None:
    """Return the remembered job if the database says that it holds the slot now."""
    held = Job._base_manager.using(using).filter(
        pk=job_id, product=product, unique_slot=slot, deleted_at=None
    )
    seconds = period_seconds(slot)
    if seconds is not None:
        held = held.filter(created_at__gt=Now() - timedelta(seconds=seconds))
    found = kept_waiting(held) if waits_only(slot) and connections[using].in_atomic_block else held
    return next(iter(found), None)


def kept_waiting(held: QuerySet[Job]) -> list[Job]:
    """Return waiting jobs, none of which a worker claims before the caller's transaction has ended.

    One that ran before the commit would not see the change for which it was enqueued again. The lock
    is shared, which the ORM does not know: several transactions may have the same job wait, and claims
    skip it. A job whose claim is under way is waited for, and left out when its slot is gone by then.
    """
    if not connections[held.db].features.has_select_for_update:
        return list(held)  # Who has written has the whole database, and no claim comes between.
    sql, parameters = held.query.get_compiler(held.db).as_sql()
    return list(held.model._base_manager.using(held.db).raw(f"{sql} FOR SHARE", parameters))


def _cannot_keep_waiting(using: str) -> bool:
    """Whether only the attempt to insert keeps others from claiming: a transaction without row locks."""
    connection = connections[using]
    return connection.in_atomic_block and not connection.features.has_select_for_update
