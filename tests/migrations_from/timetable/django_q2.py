"""Entries of django-q2."""

from __future__ import annotations

from datetime import datetime, timedelta

from croniter import croniter
from django_q.models import Schedule
from django_q.tasks import schedule
from django_q.utils import localtime

KINDS = {
    "minutes": ("I", {"minutes": 7}),
    "hourly": ("H", {}),
    "daily": ("D", {}),
    "weekly": ("W", {}),
    "biweekly": ("BW", {}),
    "monthly": ("M", {}),
    "every two months": ("BM", {}),
    "quarterly": ("Q", {}),
    "yearly": ("Y", {}),
}
CRONS = {
    "cron": "*/7 8-17 * * mon-fri",
    "either day": "0 3 13 * 5",
    "seconds": "0 3 * * * 30",
    "last day": "0 3 l * *",
}


def write(now: datetime, count: int) -> dict[str, list[datetime] | None]:
    times: dict[str, list[datetime] | None] = {}
    first = (now + timedelta(hours=5)).replace(day=15, second=0, microsecond=0)
    first = first if first > now else first.replace(year=now.year + 1, month=1)
    for name, (kind, fields) in KINDS.items():
        row = _create(name, kind, next_run=first, **fields)
        times[name] = [first]
        # Of a fortnight the first two alone: the guide says what the clocks do to it.
        for _ in range((2 if kind == "BW" else count) - 1):
            times[name].append(row.calculate_next_run(times[name][-1]))
    for name, cron in CRONS.items():
        _create(name, "C", cron=cron)
        moments = croniter(cron, localtime(now))
        times[name] = [moments.get_next(datetime) for _ in range(count)]
    _create("once", "O", next_run=now + timedelta(days=1))
    _create("repeats", "H", next_run=first, repeats=3)
    _create("hook", "H", next_run=first, hook="timetable.theirs.work")
    _create("day 31", "M", next_run=first.replace(month=1, day=31, year=first.year + 1))
    return times | dict.fromkeys(["once", "repeats", "hook", "day 31"])


def _create(name: str, kind: str, **fields: object) -> Schedule:
    return schedule("timetable.theirs.work", "berlin", name=name, schedule_type=kind, pages=2, **fields)
