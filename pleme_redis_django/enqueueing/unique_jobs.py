"""One unique job: whether another one holds its place already.

The database decides, with UNIQUE(product, unique_slot). In front of it, Redis remembers who took a
place: whoever comes second then reads one row, instead of opening a transaction, failing to insert,
and looking for the reason. A wrong or missing memory costs those round trips, never a duplicate.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.db.models.functions import Now

from pleme_redis_django.enqueueing.pools import hints_enabled
from pleme_redis_django.jobs.uniqueness import period_seconds
from pleme_redis_django.models import Job
from pleme_redis_django.redis_state.unique_places import note_place, take_place


def holder_or_insert(using: str, product: str, slot: str, job_id: UUID, insert: Callable[[], Job]) -> Job:
    """Return the job that holds the slot, or what ``insert()`` stored or found."""
    if not hints_enabled():
        return insert()
    remembered = take_place(product, slot, job_id)
    holder = None if remembered is None else _confirmed(using, product, slot, remembered)
    if holder is not None:
        return holder
    job = insert()
    if remembered is not None or job.id != job_id:
        note_place(product, slot, job.id)
    return job


def _confirmed(using: str, product: str, slot: str, job_id: UUID) -> Job | None:
    """Return the remembered job if the database says that it holds the slot now."""
    held = Job._base_manager.using(using).filter(
        pk=job_id, product=product, unique_slot=slot, deleted_at=None
    )
    seconds = period_seconds(slot)
    if seconds is not None:
        held = held.filter(created_at__gt=Now() - timedelta(seconds=seconds))
    return next(iter(held), None)
