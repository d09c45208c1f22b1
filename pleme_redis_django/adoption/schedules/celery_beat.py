"""What django-celery-beat's tables say: crontabs and intervals; neither the sun nor a single time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings as django_settings

from pleme_redis_django.adoption.schedules.cron_fields import cron_expression
from pleme_redis_django.adoption.schedules.entry import CannotExpress, Entry, ForeignSchedule, NotNeeded
from pleme_redis_django.adoption.schedules.plain_values import checked_plain
from pleme_redis_django.adoption.schedules.queue_of import queue_of
from pleme_redis_django.adoption.schedules.tables import PeriodicTask
from pleme_redis_django.jobs.definitions.schedule_values import CatchUp
from pleme_redis_django.jobs.definitions.timing import Timing
from pleme_redis_django.schedules.moments import aware, aware_or_none
from pleme_redis_django.wording import shortened

_CLEANUP = "celery.backend_cleanup"
_SECONDS = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}
_MICROSECONDS = 1_000_000
_ONCE = "A schedule repeats: enqueue the job with .using(run_after=...)"


def celery_beat_entries(using: str) -> Iterator[Entry]:
    rows = PeriodicTask._default_manager.using(using).select_related("interval", "crontab").order_by("pk")
    for row in rows:
        yield Entry(name=row.name, read=partial(_read, row))


def _read(row: PeriodicTask) -> ForeignSchedule:
    if row.task == _CLEANUP:
        raise NotNeeded("it cleans up the results of Celery; those of jobs go with their retention")
    queue_name, notes = queue_of(row.queue)
    return ForeignSchedule(
        path=row.task,
        args=_json(row.args or "[]", "args", list),
        kwargs=_json(row.kwargs or "{}", "kwargs", dict),
        timing=_timing(row),
        catch_up=CatchUp.ONE,
        queue_name=queue_name,
        pause_reason="" if row.enabled else "It was not enabled in django-celery-beat.",
        notes=(*notes, *_left_behind(row)),
    )


def _timing(row: PeriodicTask) -> Timing:
    if row.solar_id is not None:
        raise CannotExpress(
            "it goes by the sun. Have a daily job look up the time, and enqueue another one for it"
        )
    if row.clocked_id is not None:
        raise CannotExpress(f"it runs at one time alone. {_ONCE}")
    if row.one_off:
        raise CannotExpress(f"it is one_off. {_ONCE}")
    starts_at = aware_or_none(row.start_time)
    ends_at = None
    if row.expires is not None:
        # Celery does not send it any more at that time; a schedule ends after its last tick.
        ends_at = aware(row.expires) - timedelta(microseconds=1)
    if row.crontab is not None:
        return _crontab(row.crontab, starts_at, ends_at)
    if row.interval is None:
        raise CannotExpress("it has no crontab and no interval. Give it one there, or delete it")
    # Celery counts from the last run, or from when the row was changed: so the rhythm stays.
    last = aware(row.last_run_at or row.date_changed)
    return Timing(
        interval_seconds=_interval(row.interval.every, row.interval.period),
        timezone=django_settings.TIME_ZONE,
        starts_at=last if starts_at is None else max(starts_at, last),
        ends_at=ends_at,
    )


def _crontab(crontab: Any, starts_at: datetime | None, ends_at: datetime | None) -> Timing:
    if not getattr(django_settings, "DJANGO_CELERY_BEAT_TZ_AWARE", True):
        raise CannotExpress(
            "DJANGO_CELERY_BEAT_TZ_AWARE is off, so its zone is not in its row. Take the setting away if the zones "
            "of the rows are right, or make the schedule in the admin"
        )
    fields = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
    return Timing(
        cron=cron_expression([getattr(crontab, name) for name in fields]),
        timezone=crontab.timezone,
        starts_at=starts_at,
        ends_at=ends_at,
    )


def _interval(every: int, period: str) -> int:
    if period == "microseconds":
        seconds, rest = divmod(every, _MICROSECONDS)
        if rest:
            raise CannotExpress(
                f"it runs every {every:,} microseconds, and the least is a second. Have a job work in a loop"
            )
        return seconds
    if period not in _SECONDS:
        raise CannotExpress(f"its period is {shortened(repr(period))}. Accepted: {', '.join(_SECONDS)}")
    return every * _SECONDS[period]


def _json(text: str, field: str, kind: type) -> Any:
    try:
        value = json.loads(text, object_pairs_hook=_plain_object)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, kind):
        raise CannotExpress(
            f"its {field} are {shortened(repr(text))}, which is not a JSON {'list' if kind is list else 'object'}. "
            "Correct them there"
        )
    return checked_plain(value)


def _plain_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    # How kombu writes what JSON does not have: a time, a UUID, a Decimal.
    if "__type__" in found:
        raise CannotExpress(
            f"its arguments have a {shortened(repr(found['__type__']))} as kombu writes one. Make the schedule in the "
            "admin, with the value as JSON"
        )
    return found


def _left_behind(row: PeriodicTask) -> Iterator[str]:
    if row.priority is not None:
        yield f"priority {row.priority}: not carried over; set one in the admin, or give it to @job"
    if row.expire_seconds is not None:
        yield f"expire_seconds {row.expire_seconds}: not carried over; give @job a deadline"
    if row.exchange or row.routing_key:
        yield "exchange and routing_key: not carried over; jobs are routed by their queue alone"
    if (row.headers or "{}").strip() not in {"{}", "null"}:
        yield "headers: not carried over; give the job a parameter for what it needs of them"
