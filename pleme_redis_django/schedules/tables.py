"""The rows of schedules on a database, what of them is due, when a row fires, and the time that it is there."""

from __future__ import annotations

import functools
import operator
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import connections
from django.db.models import Exists, Min, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from pleme_redis_django.conf import resolve_product
from pleme_redis_django.exceptions import ScheduleNotFound
from pleme_redis_django.jobs.definitions.schedule_values import Overlap
from pleme_redis_django.jobs.definitions.timing import Timing
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import Job, Schedule, ScheduleTick, WorkerProcess
from pleme_redis_django.models.schedule import FIRING_CONDITION, TickOutcome
from pleme_redis_django.schedules.moments import aware, aware_or_none
from pleme_redis_django.wording import did_you_mean

BY_MAX_LENGTH = 150
"""Of the name of a person who paused a schedule or ran it by hand."""
UNENDED = tuple(status for status in JobStatus if not status.is_terminal)
Clock = Callable[[str], datetime]
"""Returns the time of a database, ``database_now``; a test gives one of its own."""


def schedules(using: str) -> QuerySet[Schedule]:
    """Return every schedule, whatever managers the model has."""
    return Schedule._base_manager.using(using)


def ticks(using: str) -> QuerySet[ScheduleTick]:
    return ScheduleTick._base_manager.using(using)


def live_workers(using: str) -> QuerySet[WorkerProcess]:
    """Return the processes that are not known to have died."""
    return WorkerProcess._base_manager.using(using).filter(died_at=None)


def firing(using: str) -> QuerySet[Schedule]:
    """Return what fires: it could be read, is not paused, and has a next tick."""
    return schedules(using).filter(FIRING_CONDITION)


def ready_waiting(using: str) -> QuerySet[Schedule]:
    """Return those whose waiting tick may fire, since the job that it waited for has ended."""
    return _with_waiting_tick(using).filter(~_last_job_unended(using))


def awaiting(using: str, types: Sequence[str]) -> QuerySet[Any, tuple[int, bool]]:
    """Return the ids of those whose tick waits, and whether it may fire; these first."""
    rows: QuerySet[Any] = _with_waiting_tick(using).filter(job_type__in=types)
    rows = rows.annotate(is_ready=~_last_job_unended(using))
    return rows.order_by("-is_ready", "waiting_tick_at").values_list("id", "is_ready")


def _with_waiting_tick(using: str) -> QuerySet[Schedule]:
    return schedules(using).filter(waiting_tick_at__isnull=False, enabled=True, paused_at=None)


def _last_job_unended(using: str) -> Exists:
    return Exists(unended_jobs(using).filter(pk=OuterRef("last_job_id")))


def unended_jobs(using: str) -> QuerySet[Job]:
    """Return the jobs that wait or run."""
    return Job._base_manager.using(using).filter(status__in=UNENDED, deleted_at=None)


def unended_of(using: str, rows: Collection[Schedule]) -> dict[int, list[UUID]]:
    """Return which jobs of these schedules wait or run, oldest first, by the schedule's id; none: it is left out.

    The last job is one of them, or those of later ticks are: a job that somebody ran by hand may outlast the one
    that had not ended then, and so stayed the last one.
    """
    last = {row.pk: row.last_job_id for row in rows if row.last_job_id is not None}
    unended = _unended_among(using, last.values())
    found = defaultdict(list, {row_id: [job_id] for row_id, job_id in last.items() if job_id in unended})
    # While the last one has not ended, nobody asks for more of them, except to cancel them all.
    asked = [
        row for row in rows if row.pk in last and (row.pk not in found or row.overlap == Overlap.REPLACE)
    ]
    later = jobs_since_the_last(using, asked) if asked else []
    unended = _unended_among(using, (job_id for _row_id, job_id in later))
    for row_id, job_id in later:
        if job_id in unended:
            found[row_id].append(job_id)
    return {row_id: job_ids for row_id, job_ids in found.items() if job_ids}


def _unended_among(using: str, job_ids: Iterable[UUID]) -> set[UUID]:
    asked = set(job_ids)
    return set(unended_jobs(using).filter(pk__in=asked).values_list("pk", flat=True)) if asked else set()


def jobs_since_the_last(using: str, rows: Collection[Schedule]) -> list[tuple[int, UUID]]:
    """Return which other jobs the ticks since that of the schedule's last job made: its id and theirs, oldest first.

    The newest tick by the clock counts: nothing before it is to be minded, and a ``once_per`` job may have been kept
    by thousands before it. Of runs by hand, which leave what runs as it is, the first one counts.
    """
    of_last = ticks(using).filter(schedule_id=OuterRef("pk"), job_id=OuterRef("last_job_id"))
    by_clock = of_last.exclude(outcome=TickOutcome.RUN_NOW).order_by("-tick_at")
    by_hand = of_last.order_by("tick_at")
    begins = schedules(using).filter(pk__in=[row.pk for row in rows])
    begins = begins.annotate(
        begins_at=Coalesce(Subquery(by_clock.values("tick_at")[:1]), Subquery(by_hand.values("tick_at")[:1]))
    )
    since = [
        Q(schedule_id=row_id, tick_at__gt=begins_at) & ~Q(job_id=last_job_id)
        for row_id, last_job_id, begins_at in begins.values_list("pk", "last_job_id", "begins_at")
        if begins_at is not None
    ]
    if not since:
        return []
    later: QuerySet[Any] = ticks(using).filter(functools.reduce(operator.or_, since), job_id__isnull=False)
    later = later.values("schedule_id", "job_id").annotate(first_at=Min("tick_at")).order_by("first_at")
    return list(later.values_list("schedule_id", "job_id"))


def locked(rows: QuerySet[Schedule], ids: Sequence[int]) -> QuerySet[Schedule]:
    """Return those of the rows that nobody else is at, locked until the transaction ends.

    A database without row locks lets one transaction write at a time, and the updates say what they expect.
    """
    rows = rows.filter(id__in=ids).order_by("id")
    features = connections[rows.db].features
    return rows.select_for_update(skip_locked=True) if features.has_select_for_update_skip_locked else rows


def database_now(using: str) -> datetime:
    """Return the time by the clock of the database, in UTC."""
    connection = connections[using]
    with connection.cursor() as cursor:
        cursor.execute(_NOW.get(connection.vendor, "SELECT CURRENT_TIMESTAMP"))
        (now,) = cursor.fetchone()
    if isinstance(now, str):
        return datetime.fromisoformat(now).replace(tzinfo=UTC)
    return aware(now)


_NOW = {
    # Not when the transaction began: it may have waited for a lock.
    "postgresql": "SELECT clock_timestamp()",
    "sqlite": "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')",
}


def locked_schedule(name: str, product: str | None, using: str) -> Schedule:
    """Return the schedule of that name, locked until the transaction ends. Raises ScheduleNotFound."""
    product = resolve_product(product)
    of_product = schedules(using).filter(product=product)
    found = for_update(of_product.filter(name=name), using).first()
    if found is not None:
        return found
    known = list(of_product.order_by("name").values_list("name", flat=True)[:1_000])
    hint = did_you_mean(name, known, otherwise="manage.py schedules list shows them.")
    raise ScheduleNotFound(f'The product "{product}" has no schedule named {str(name)[:200]!r}. {hint}')


def for_update(rows: QuerySet[Schedule], using: str) -> QuerySet[Schedule]:
    """Return the rows, locked until the transaction ends where the database can do that."""
    return rows.select_for_update() if connections[using].features.has_select_for_update else rows


def timing_of(row: Schedule) -> Timing:
    """Return when a row says that it fires, unchecked."""
    return Timing(
        cron=row.cron,
        interval_seconds=row.interval_seconds,
        timezone=row.timezone,
        starts_at=aware_or_none(row.starts_at),
        ends_at=aware_or_none(row.ends_at),
    )
