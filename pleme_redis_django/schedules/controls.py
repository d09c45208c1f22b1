"""What an operator changes of a schedule: pause, resume, and save an edited one.

Each is one transaction that locks the row of the schedule, as firing does: whoever comes second sees what the
first one did. Every one has an async twin with the prefix ``a``.
"""

from __future__ import annotations

from datetime import datetime

from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.models.functions import Now

from pleme_redis_django.conf import get_settings
from pleme_redis_django.jobs.definitions.due_ticks import count_ticks
from pleme_redis_django.models import Schedule, ScheduleTick
from pleme_redis_django.models.schedule import TickOutcome
from pleme_redis_django.schedules.moments import aware, aware_or_none, stored, stored_or_none
from pleme_redis_django.schedules.reading import ReadSchedule, read_schedule
from pleme_redis_django.schedules.tables import (
    BY_MAX_LENGTH,
    Clock,
    database_now,
    for_update,
    locked_schedule,
    schedules,
    ticks,
)

# What a form has not shown, or what may have moved on since it was shown.
_NOT_EDITED = frozenset(
    {
        *("id", "source", "digest", "created_at"),
        *("last_tick_at", "last_job_id", "waiting_tick_at"),
        *("paused_at", "paused_by", "pause_reason"),
    }
)


def pause_schedule(
    name: str, *, product: str | None = None, reason: str = "", paused_by: str = "", using: str | None = None
) -> bool:
    """Stop a schedule from firing until it is resumed; return whether it was not paused yet.

    Jobs that it has made go on. One that is paused already keeps its reason and who gave it. ``product``: None is
    the one of the settings. Raises ScheduleNotFound.
    """
    using = using or get_settings().database
    with transaction.atomic(using=using):
        row = locked_schedule(name, product, using)
        if row.paused_at is not None:
            return False
        schedules(using).filter(pk=row.pk).update(
            paused_at=Now(), pause_reason=reason, paused_by=paused_by[:BY_MAX_LENGTH], updated_at=Now()
        )
    return True


def resume_schedule(
    name: str, *, product: str | None = None, using: str | None = None, clock: Clock = database_now
) -> bool:
    """Have a paused or disabled schedule fire again, from its next tick on; return whether it did not.

    Ticks of the pause are no missed ones: they are recorded as one row, whatever ``catch_up`` says. Raises
    ScheduleNotFound, and what ``read_schedule`` raises for a row that still cannot be read.
    """
    using = using or get_settings().database
    with transaction.atomic(using=using):
        row = locked_schedule(name, product, using)
        if row.paused_at is None and row.enabled:
            return False
        read, now = read_schedule(row), clock(using)
        _record_pause(row, read, now)
        schedules(using).filter(pk=row.pk).update(
            enabled=True,
            disabled_reason="",
            paused_at=None,
            paused_by="",
            pause_reason="",
            next_tick_at=stored_or_none(read.timing.next_after(_since(row, now))),
            updated_at=Now(),
        )
    return True


def save_schedule(row: Schedule, *, using: str | None = None, clock: Clock = database_now) -> None:
    """Store a new or an edited schedule, checked as a whole, which fires again if it was disabled.

    A tick that is due at this moment still fires; what was edited counts from the next one on. Raises what
    ``read_schedule`` raises; an IntegrityError when the product has a schedule of that name.
    """
    using = using or get_settings().database
    row.enabled, row.disabled_reason = True, ""
    timing = read_schedule(row).timing
    with transaction.atomic(using=using):
        now = clock(using)
        before = None if row._state.adding else _locked(using, row.pk)
        row.next_tick_at = stored_or_none(timing.next_after(now))
        if before is None:
            row.save(using=using, force_insert=True)
            return
        is_due = before.next_tick_at is not None and aware(before.next_tick_at) <= now
        if is_due and before.enabled and before.paused_at is None:
            row.next_tick_at = before.next_tick_at
        else:
            row.next_tick_at = stored_or_none(timing.next_after(_since(before, now)))
        row.updated_at = stored(now)
        names = {field.name for field in row._meta.concrete_fields} - _NOT_EDITED
        row.save(using=using, update_fields=sorted(names))


def _locked(using: str, row_id: int) -> Schedule | None:
    return for_update(schedules(using).filter(pk=row_id), using).first()


def _since(row: Schedule, now: datetime) -> datetime:
    """Return after which time the next tick is: the clock may have been set back behind the last one."""
    return now if row.last_tick_at is None else max(now, aware(row.last_tick_at))


def _record_pause(row: Schedule, read: ReadSchedule, now: datetime) -> None:
    """Record in one row the ticks that the pause has passed over."""
    first, last = aware_or_none(row.next_tick_at), read.timing.last_until(now)
    if row.paused_at is None or first is None or last is None or last < first:
        return
    using = str(row._state.db)
    if not ticks(using).filter(schedule=row, tick_at=stored(last)).exists():
        ScheduleTick._base_manager.using(using).create(
            schedule=row,
            tick_at=stored(last),
            outcome=TickOutcome.PAUSED,
            passed_over=count_ticks(read.timing, first, last),
            note=row.pause_reason[:300],
        )


apause_schedule = sync_to_async(pause_schedule)
aresume_schedule = sync_to_async(resume_schedule)
asave_schedule = sync_to_async(save_schedule)
