"""What people ask of schedules: their state, the next ticks, what became of the last ones. Reads only."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from django.db import connections
from django.db.models import Q, QuerySet

from pleme_redis_django.access.product_scope import EVERY_PRODUCT, ProductScope
from pleme_redis_django.conf import get_settings
from pleme_redis_django.durations import duration
from pleme_redis_django.exceptions import InvalidSchedule
from pleme_redis_django.jobs.definitions.cron_expression import zone_of
from pleme_redis_django.jobs.definitions.due_ticks import ON_TIME
from pleme_redis_django.jobs.definitions.timing_in_words import in_words
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import Job, Schedule, ScheduleTick
from pleme_redis_django.models.schedule import FIRING_CONDITION, ScheduleSource, TickOutcome
from pleme_redis_django.monitoring.figures import Reason
from pleme_redis_django.schedules.moments import aware, aware_or_none, stored
from pleme_redis_django.schedules.tables import database_now, live_workers, schedules, ticks, timing_of

UPCOMING_SHOWN = 5
TICKS_SHOWN = 20
REASONS_SHOWN = 3

State = Literal["fires", "failing", "late", "paused", "disabled", "ended"]
"""``failing``: its last job failed, or its last tick was missed. ``late``: no worker fires what is due."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TickReport:
    """One tick, with what became of its job since."""

    at: datetime
    outcome: TickOutcome
    job_id: UUID | None
    job_status: JobStatus | None
    """None: it made no job, or that is deleted."""
    passed_over: int
    note: str

    @property
    def is_failure(self) -> bool:
        """Whether a person should look at it."""
        return self.job_status is JobStatus.FAILED or self.outcome in (
            TickOutcome.MISSED,
            TickOutcome.DISABLED,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleReport:
    """A schedule as people see it."""

    schedule: Schedule
    state: State
    reason: str
    """Of every state but "fires"."""
    words: str
    """When it fires, such as "every 5 minutes, Berlin time"."""
    upcoming: tuple[datetime, ...]
    """The next ticks, in UTC; none of one that does not fire."""
    ticks: tuple[TickReport, ...]
    """The last ones, oldest first."""


def schedule_rows(scope: ProductScope = EVERY_PRODUCT, *, using: str | None = None) -> QuerySet[Schedule]:
    """Return the schedules of the scope, those that are disabled first, then by name."""
    rows = scope.narrow(schedules(using or get_settings().database))
    return rows.order_by("enabled", "name", "product", "id")


def schedule_products(*, using: str | None = None) -> list[str]:
    rows = schedules(using or get_settings().database).order_by("product")
    return list(rows.values_list("product", flat=True).distinct())


def schedule_reports(rows: Sequence[Schedule], *, tick_count: int = TICKS_SHOWN) -> list[ScheduleReport]:
    """Return a report of each of a page's schedules, in order; five queries on PostgreSQL."""
    if not rows:
        return []
    using = str(rows[0]._state.db)
    now = database_now(using)
    known = _known_types(using)
    last = last_ticks(using, [row.pk for row in rows], tick_count)
    return [_report(row, last[row.pk], now, known) for row in rows]


def last_ticks(using: str, ids: Sequence[int], count: int) -> defaultdict[int, list[TickReport]]:
    """Return the last ticks of each schedule, oldest first."""
    found = _newest(using, ids, count)
    jobs = Job._base_manager.using(using).filter(deleted_at=None)
    job_ids = [tick.job_id for tick in found if tick.job_id is not None]
    statuses = dict(jobs.filter(pk__in=job_ids).values_list("pk", "status")) if job_ids else {}
    reports: defaultdict[int, list[TickReport]] = defaultdict(list)
    for tick in sorted(found, key=lambda tick: tick.tick_at):
        status = statuses.get(tick.job_id)  # type: ignore[arg-type]  # None is in no job
        reports[tick.schedule_id].append(
            TickReport(
                at=aware(tick.tick_at),
                outcome=TickOutcome(tick.outcome),
                job_id=tick.job_id,
                job_status=None if status is None else JobStatus(status),
                passed_over=tick.passed_over,
                note=tick.note,
            )
        )
    return reports


def tick_of_job(job_id: UUID, *, using: str | None = None) -> ScheduleTick | None:
    """Return the tick that made a job, with its schedule; None: no schedule did."""
    found = ticks(using or get_settings().database).filter(job_id=job_id).exclude(outcome=TickOutcome.KEPT)
    return found.select_related("schedule").order_by("id").first()


def schedule_reasons(scope: ProductScope, now: datetime) -> list[Reason]:
    """Return the problems of schedules for the health of the jobs: disabled ones, and those that no worker fires.

    ``now``: the time of the database. One query, and one more where something is wrong.
    """
    using = get_settings().database
    now = aware(now)
    rows = scope.narrow(schedules(using))
    overdue = FIRING_CONDITION & Q(next_tick_at__lt=stored(now - ON_TIME))
    wrong = list(
        rows.filter(Q(enabled=False) | overdue).order_by("enabled", "name").only(*_NAMED)[: REASONS_SHOWN + 1]
    )
    declared = _declared(using) if wrong else frozenset()
    return [_reason(row, now, declared) for row in wrong[:REASONS_SHOWN]] + _more(wrong)


_NAMED = ("name", "product", "source", "enabled", "disabled_reason", "next_tick_at")


def _reason(row: Schedule, now: datetime, declared: Collection[tuple[str, str]]) -> Reason:
    name = f"the schedule {row.name} of {row.product}"
    if not row.enabled:
        return Reason(
            level="critical", text=f"{name} is disabled: {row.disabled_reason.rstrip('.')}", page="schedules"
        )
    late = duration((now - aware(row.next_tick_at or now)).total_seconds())
    if declared and row.source == ScheduleSource.CODE and (row.product, row.name) not in declared:
        # Of a service that is away, or of code that is gone: who took it out need do nothing.
        text = f"{name} was due {late} ago, and no process that is alive declares it: it goes when none has for a day"
        return Reason(level="warning", text=text, page="schedules")
    return Reason(
        level="critical", text=f"{name} was due {late} ago, and no worker fires it", page="schedules"
    )


def _more(wrong: Sequence[Schedule]) -> list[Reason]:
    if len(wrong) <= REASONS_SHOWN:
        return []
    return [Reason(level="critical", text="more schedules are disabled or late", page="schedules")]


def _declared(using: str) -> frozenset[tuple[str, str]]:
    """Return the product and name of each schedule that a live process declares."""
    rows = live_workers(using).exclude(declared_schedules__isnull=True)
    of_each = rows.values_list("declared_schedules", flat=True)
    return frozenset((product, name) for declared in of_each for product, name, *_digest in declared or ())


def _known_types(using: str) -> frozenset[str]:
    """Return the job types that a live process fires."""
    rows = live_workers(using).exclude(declared_schedules__isnull=True).values_list("job_types", flat=True)
    return frozenset(job_type for types in rows for job_type in types or ())


def _newest(using: str, ids: Sequence[int], count: int) -> list[ScheduleTick]:
    """Return the newest ticks of each, by as many reads of the unique index: of a month there may be millions."""
    newest = [ticks(using).filter(schedule_id=row_id).order_by("-tick_at")[:count] for row_id in ids]
    if connections[using].features.supports_slicing_ordering_in_compound and len(newest) > 1:
        return list(newest[0].union(*newest[1:], all=True))
    return [tick for rows in newest for tick in rows]


def _report(
    row: Schedule, last: Sequence[TickReport], now: datetime, known: frozenset[str]
) -> ScheduleReport:
    state, reason = _state(row, last, now, known)
    upcoming: Iterable[datetime] = ()
    if state in ("fires", "failing", "late"):
        upcoming = _upcoming(row, now)
    return ScheduleReport(
        schedule=row,
        state=state,
        reason=reason,
        words=in_words(timing_of(row)),
        upcoming=tuple(upcoming),
        ticks=tuple(last),
    )


def _state(
    row: Schedule, last: Sequence[TickReport], now: datetime, known: frozenset[str]
) -> tuple[State, str]:
    following = aware_or_none(row.next_tick_at)
    if not row.enabled:
        return "disabled", row.disabled_reason
    if row.paused_at is not None:
        by = f" by {row.paused_by}" if row.paused_by else ""
        return "paused", f"Paused{by}{f': {row.pause_reason}' if row.pause_reason else '.'}"
    if following is None:
        return "ended", "It has no tick any more."
    if following < now - ON_TIME:
        late = duration((now - following).total_seconds())
        if row.job_type in known:
            return "late", f"It was due {late} ago, and has not been fired yet."
        return "late", f"It was due {late} ago: no live worker process knows the job type {row.job_type}."
    failed = last[-1] if last and last[-1].is_failure else None
    if failed is None:
        return "fires", ""
    if failed.job_status is JobStatus.FAILED:
        return "failing", "The job of its last tick failed."
    return "failing", f"Its last tick was {failed.outcome.value}."


def _upcoming(row: Schedule, now: datetime) -> list[datetime]:
    timing, following = timing_of(row), aware_or_none(row.next_tick_at)
    try:
        since = now if following is None else following - timedelta(microseconds=1)
        return timing.checked().upcoming(UPCOMING_SHOWN, since)
    except InvalidSchedule:
        return []  # It is disabled at its turn.


def local_times(moments: Sequence[datetime], timezone_name: str) -> list[datetime]:
    """Return times as the clocks of a schedule's zone show them."""
    try:
        zone = zone_of(timezone_name)
    except InvalidSchedule:
        return list(moments)
    return [moment.astimezone(zone) for moment in moments]
