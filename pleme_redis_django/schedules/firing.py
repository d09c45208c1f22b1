"""Firing: one transaction records ticks, enqueues their jobs, and moves each schedule to its next tick.

So a process that is killed at any moment has fired a tick altogether or not at all; and two that fire the same
one exclude each other three times over: by the lock of the schedule's row, by ``WHERE next_tick_at = the old
one``, and by UNIQUE(schedule, tick).
"""

from __future__ import annotations

import dataclasses
import random
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.models.functions import Now

from pleme_redis_django.conf import get_settings
from pleme_redis_django.enqueueing.announcing import announce
from pleme_redis_django.enqueueing.insertion import insert_rows
from pleme_redis_django.enqueueing.requested_rows import requested_rows
from pleme_redis_django.enqueueing.rows import new_row
from pleme_redis_django.enqueueing.templates import templates
from pleme_redis_django.enqueueing.turns import let_in_after_commit, let_next_after_commit
from pleme_redis_django.event_log import first_line
from pleme_redis_django.exceptions import EnqueueError, InvalidSchedule, PlemeError, ScheduleMoved
from pleme_redis_django.jobs.definitions.definition import JobDefinition
from pleme_redis_django.jobs.definitions.due_ticks import DueTick, Turn, due_ticks
from pleme_redis_django.jobs.definitions.schedule_values import Overlap
from pleme_redis_django.middleware.enqueues import surround_enqueues
from pleme_redis_django.models import Job, Schedule, ScheduleTick
from pleme_redis_django.models.schedule import TickOutcome
from pleme_redis_django.operations.endings import cancel_jobs
from pleme_redis_django.orm_store.dialects.dialect import dialect_of
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.new_rows import NewRow, RowTemplate
from pleme_redis_django.schedules.moments import aware, stored, stored_or_none
from pleme_redis_django.schedules.overlaps import outcome_of
from pleme_redis_django.schedules.reading import NOT_FIRED, UNREADABLE, ReadSchedule, read_schedule
from pleme_redis_django.schedules.tables import (
    BY_MAX_LENGTH,
    database_now,
    firing,
    locked,
    locked_schedule,
    ready_waiting,
    schedules,
    ticks,
    unended_of,
)

REASON_MAX_LENGTH = 2_000
NOTE_MAX_LENGTH = 300


@dataclasses.dataclass(kw_only=True)
class Fired:
    """What a transaction did."""

    jobs: list[Job] = dataclasses.field(default_factory=list)
    enqueued: int = 0
    passed_over: int = 0
    disabled: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    is_behind: bool = False
    """Whether the next tick of one that has fired is due already."""

    def add(self, other: Fired) -> None:
        """Count what another transaction did too."""
        self.enqueued += other.enqueued
        self.passed_over += other.passed_over
        self.disabled += other.disabled
        self.is_behind |= other.is_behind


def fire(using: str, ids: Sequence[int], now: datetime) -> Fired:
    """Fire what is due of these schedules at ``now``; inside a transaction."""
    fired = Fired()
    rows = list(locked(firing(using).filter(next_tick_at__lte=stored(now)), ids))
    new_ticks: list[ScheduleTick] = []
    planned: list[tuple[Schedule, ReadSchedule, Turn]] = []
    for row in rows:
        try:
            planned.append((row, *_planned(row, now)))
        except UNREADABLE as error:
            new_ticks.append(disable(using, row, str(error)))
            fired.disabled.append((row.name, str(error)))
    unended = unended_of(using, [row for row in rows if row.overlap != Overlap.ALLOW])
    known = _known_ticks(using, planned)
    for row, read, turn in planned:
        made = _DueSchedule(using, row, read, now, unended=unended.get(row.pk, ()))
        new_ticks += made.ticks_of([tick for tick in turn.ticks if (row.pk, tick.at) not in known], fired)
        made.move_on(turn)
        fired.is_behind |= turn.next_tick_at is not None and turn.next_tick_at <= now
    ScheduleTick._base_manager.using(using).bulk_create(new_ticks)
    _announce(using, fired.jobs)
    return fired


def _planned(row: Schedule, now: datetime) -> tuple[ReadSchedule, Turn]:
    """Return what a row says, and what it does at its turn. Raises one of UNREADABLE."""
    read = read_schedule(row)
    if row.next_tick_at is None:
        raise InvalidSchedule("Its next tick is not a time. Save it again.")
    return read, due_ticks(read.timing, aware(row.next_tick_at), now, read.catch_up, read.catch_up_limit)


def fire_waiting(using: str, ids: Sequence[int], now: datetime) -> Fired:
    """Fire the ticks that waited for a job which has ended; inside a transaction."""
    fired = Fired()
    rows = list(locked(ready_waiting(using), ids))
    unended = unended_of(using, rows)
    for row in rows:
        if row.pk in unended:  # It was run by hand, and the tick waits for that too.
            schedules(using).filter(pk=row.pk).update(last_job_id=unended[row.pk][0])
            continue
        waited = row.waiting_tick_at
        try:
            read = read_schedule(row)
        except UNREADABLE as error:
            tick = disable(using, row, str(error))
            tick.save(using=using, force_insert=True)
            fired.disabled.append((row.name, str(error)))
            continue
        made = _DueSchedule(using, row, read, now)
        tick = made.fired(DueTick(at=aware(waited or now), fires=True), fired)
        fields = {"outcome": tick.outcome, "job_id": tick.job_id, "fired_at": Now()}
        ticks(using).filter(schedule_id=row.pk, tick_at=tick.tick_at).update(**fields)
        as_it_was = schedules(using).filter(pk=row.pk, waiting_tick_at=waited)
        if not as_it_was.update(waiting_tick_at=None, last_job_id=made.last_job_id):
            raise ScheduleMoved(f"The schedule {row.name} was fired by somebody else.")
    _announce(using, fired.jobs)
    return fired


def disable(using: str, row: Schedule, reason: str) -> ScheduleTick:
    """Disable a schedule until somebody fixes it; return the tick that says why."""
    schedules(using).filter(pk=row.pk).update(
        enabled=False, disabled_reason=reason[:REASON_MAX_LENGTH], waiting_tick_at=None, updated_at=Now()
    )
    return ScheduleTick(
        schedule_id=row.pk, tick_at=Now(), outcome=TickOutcome.DISABLED, note=reason[:NOTE_MAX_LENGTH]
    )


def run_schedule_now(
    name: str, *, product: str | None = None, asked_by: str = "", using: str | None = None
) -> Job:
    """Enqueue a schedule's job at once, beside its ticks, and return it; whether it is paused or overlaps.

    Raises ScheduleNotFound, and what ``read_schedule`` raises for a row that cannot be read.
    """
    using = using or get_settings().database
    with transaction.atomic(using=using):
        row = locked_schedule(name, product, using)
        fired, now = Fired(), database_now(using)
        read = dataclasses.replace(read_schedule(row), jitter_seconds=0)
        tick = _DueSchedule(using, row, read, now).fired(DueTick(at=now, fires=True), fired)
        tick.outcome, tick.note = TickOutcome.RUN_NOW, asked_by[:BY_MAX_LENGTH]
        tick.save(using=using, force_insert=True)
        # The next tick minds whatever has not ended; which jobs came later, ticks say.
        unended = unended_of(using, [row]).get(row.pk)
        schedules(using).filter(pk=row.pk).update(last_job_id=unended[0] if unended else tick.job_id)
        _announce(using, fired.jobs)
        return Job._base_manager.using(using).filter(pk__in=[tick.job_id]).get()


arun_schedule_now = sync_to_async(run_schedule_now)


def disable_unloadable(using: str, row_id: int, error: Exception) -> Fired:
    """Disable a schedule whose row cannot be loaded, or whose job cannot be stored; inside a transaction.

    Its times are cleared: such as lie beyond what Python can hold would keep pages from showing it.
    """
    reason = f"{NOT_FIRED}{type(error).__name__}: {first_line(error)}. Look at its times and save it."
    row = schedules(using).filter(pk=row_id)
    names = list(row.values_list("name", flat=True))
    row.update(
        enabled=False,
        disabled_reason=reason[:REASON_MAX_LENGTH],
        starts_at=None,
        ends_at=None,
        next_tick_at=None,
        last_tick_at=None,
        waiting_tick_at=None,
        paused_at=None,
        updated_at=Now(),
    )
    return Fired(disabled=[(name, reason) for name in names])


class _DueSchedule:
    """One schedule that is due, or is to fire at once."""

    def __init__(
        self,
        using: str,
        row: Schedule,
        read: ReadSchedule,
        now: datetime,
        *,
        unended: Sequence[UUID] = (),
    ) -> None:
        self._using = using
        self._row = row
        self._read = read
        self._now = now
        self._unended = unended
        self._waiting_tick_at = row.waiting_tick_at
        self.last_job_id: UUID | None = unended[0] if unended else row.last_job_id

    def ticks_of(self, due: Sequence[DueTick], fired: Fired) -> list[ScheduleTick]:
        """Return what is to be recorded of these ticks, whose jobs are enqueued."""
        if self._read.overlap is Overlap.REPLACE:
            # Each would cancel the one before it, which nobody has seen.
            return [self._tick(tick, fired, is_last=tick is due[-1]) for tick in due]
        return [self._tick(tick, fired) for tick in due]

    def move_on(self, turn: Turn) -> None:
        """Store that the schedule waits for its next tick."""
        row = self._row
        moved = schedules(self._using).filter(pk=row.pk, next_tick_at=row.next_tick_at)
        if not moved.update(
            next_tick_at=stored_or_none(turn.next_tick_at),
            last_tick_at=stored(turn.ticks[-1].at),
            last_job_id=self.last_job_id,
            waiting_tick_at=self._waiting_tick_at,
        ):
            raise ScheduleMoved(f"The schedule {row.name} was moved on by somebody else.")

    def fired(self, tick: DueTick, fired: Fired) -> ScheduleTick:
        """Enqueue the job of a tick; return what is to be recorded."""
        job, is_new = self._enqueue(tick)
        if is_new:
            fired.jobs.append(job)
        fired.enqueued += 1
        self.last_job_id, self._unended = job.id, [job.id]
        return self._recorded(tick, TickOutcome.ENQUEUED if is_new else TickOutcome.KEPT, job.id)

    def _tick(self, tick: DueTick, fired: Fired, *, is_last: bool = True) -> ScheduleTick:
        outcome = self._outcome(tick, is_last)
        if outcome is TickOutcome.ENQUEUED:
            return self.fired(tick, fired)
        if outcome is TickOutcome.WAITING:
            self._waiting_tick_at = stored(tick.at)
        fired.passed_over += 1
        return self._recorded(tick, outcome)

    def _outcome(self, tick: DueTick, is_last: bool) -> TickOutcome:
        if not tick.fires:
            return TickOutcome.MISSED
        overlap = self._read.overlap
        if not is_last:
            return TickOutcome.OVERLAP
        outcome = outcome_of(
            overlap, is_unended=bool(self._unended), is_awaited=self._waiting_tick_at is not None
        )
        if overlap is Overlap.REPLACE and self._unended:
            cancel_jobs(Job._base_manager.using(self._using).filter(pk__in=self._unended))
        return outcome

    def _enqueue(self, tick: DueTick) -> tuple[Job, bool]:
        read = self._read
        definition = read.definition.using(
            run_after=_later(self._now, read.jitter_seconds),
            metadata={"schedule": self._row.name, "tick_at": tick.at.isoformat()},
        )
        template, row = _new_row(definition, read.parameters)
        table = JobTable(Job, self._using)
        made = insert_rows(dialect_of(table), table, template, [row])
        let_next_after_commit(table, made.lines, template.queue_name)
        let_in_after_commit(table, made.left_places)
        (job,) = made.jobs
        return job, job.id == row.id

    def _recorded(self, tick: DueTick, outcome: TickOutcome, job_id: UUID | None = None) -> ScheduleTick:
        return ScheduleTick(
            schedule_id=self._row.pk,
            tick_at=stored(tick.at),
            outcome=outcome,
            job_id=job_id,
            passed_over=tick.passed_over,
        )


def _new_row(definition: JobDefinition[Any, Any], parameters: dict[str, Any]) -> tuple[RowTemplate, NewRow]:
    if not (get_settings().middleware and surround_enqueues()):
        template = templates.of(definition)
        return template, new_row(template, parameters)
    try:
        (group,) = requested_rows(definition, [parameters], templates.of)
    except PlemeError:
        raise
    except Exception as error:
        # The schedule is not at fault: it fires later, when the middleware lets it.
        raise EnqueueError(
            f"Middleware refused a tick: {type(error).__name__}: {first_line(error)}"
        ) from error
    return group.template, group.rows[0]


def _later(now: datetime, jitter_seconds: int) -> datetime | None:
    """Return when a job starts that is to start a little later than others; None: at once."""
    if not jitter_seconds:
        return None
    return now + timedelta(seconds=random.uniform(0, jitter_seconds))  # noqa: S311 - no secret


def _known_ticks(
    using: str, planned: Sequence[tuple[Schedule, ReadSchedule, Turn]]
) -> set[tuple[int, datetime]]:
    """Return the ticks that are recorded already, though they are due: of a clock that was set back."""
    if not planned:
        return set()
    moments = {stored(tick.at) for _row, _read, turn in planned for tick in turn.ticks}
    found = ticks(using).filter(schedule_id__in=[row.pk for row, *_ in planned], tick_at__in=moments)
    return {(schedule_id, aware(at)) for schedule_id, at in found.values_list("schedule_id", "tick_at")}


def _announce(using: str, jobs: Sequence[Job]) -> None:
    by_queue: defaultdict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        by_queue[job.queue_name].append(job)
    for of_queue in by_queue.values():
        announce(of_queue, using)
