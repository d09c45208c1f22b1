"""Entries of django-celery-beat."""

from __future__ import annotations

from datetime import datetime, timedelta

from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

CRONTABS = {
    "every minute": {},
    "every seven minutes": {"minute": "*/7"},
    "office hours": {"minute": "0,30", "hour": "8-17/3", "day_of_week": "mon-fri"},
    "around midnight": {"minute": "15", "hour": "22-2"},
    "around the weekend": {"minute": "5", "hour": "4", "day_of_week": "fri-mon"},
    "odd days": {"minute": "0", "hour": "3", "day_of_month": "*/2"},
    "quarters": {"minute": "0", "hour": "3", "day_of_month": "1", "month_of_year": "*/3"},
    "summer": {"minute": "0", "hour": "3", "day_of_month": "1", "month_of_year": "jun-august"},
    "Sundays": {"minute": "0", "hour": "3", "day_of_week": "sunday"},
    "even weekdays": {"minute": "0", "hour": "3", "day_of_week": "*/2"},
    "in Tokyo": {"minute": "0", "hour": "3", "timezone": "Asia/Tokyo"},
    "any day in full": {"minute": "0", "hour": "3", "day_of_month": "1-31", "day_of_week": "1"},
}


def write(now: datetime, count: int) -> dict[str, list[datetime] | None]:
    times: dict[str, list[datetime] | None] = {}
    for name, fields in CRONTABS.items():
        crontab = CrontabSchedule.objects.create(**{"timezone": "Europe/Berlin"} | fields)
        times[name] = _ticks(_create(name, crontab=crontab).schedule, now, count)
    interval = IntervalSchedule.objects.create(every=90, period="minutes")
    last = now - timedelta(minutes=7)
    row = _create("interval", interval=interval, queue="mail", priority=3)
    # As beat itself stores it, which touches no other column.
    PeriodicTask.objects.filter(pk=row.pk).update(last_run_at=last)
    times["interval"] = [last + each * timedelta(minutes=90) for each in range(1, count + 1)]
    microseconds = IntervalSchedule.objects.create(every=5, period="microseconds")
    both = CrontabSchedule.objects.create(day_of_month="1-7", day_of_week="mon")
    sun = SolarSchedule.objects.create(event="sunrise", latitude=52, longitude=13)
    once = ClockedSchedule.objects.create(clocked_time=now + timedelta(days=1))
    _create("microseconds", interval=microseconds)
    _create("both kinds of days", crontab=both)
    _create("sunrise", solar=sun)
    _create("clocked", clocked=once, one_off=True)
    _create("one_off", interval=interval, one_off=True)
    return times | dict.fromkeys(["microseconds", "both kinds of days", "sunrise", "clocked", "one_off"])


def _create(name: str, **fields: object) -> PeriodicTask:
    return PeriodicTask.objects.create(
        name=name, task="timetable.theirs.work", args='["berlin"]', kwargs='{"pages": 2}', **fields
    )


def _ticks(schedule: object, now: datetime, count: int) -> list[datetime]:
    """Return when Celery's own crontab fires."""
    times, last = [], now.astimezone(schedule.tz)
    for _ in range(count):
        start, until, _now = schedule.remaining_delta(last, tz=schedule.tz)
        last = start + until
        times.append(last)
    return times
