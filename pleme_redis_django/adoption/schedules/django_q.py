"""What django-q2's table of schedules says: intervals, days, months and cron expressions; no repeats, no hooks.

Its ``args`` and ``kwargs`` are Python texts, of which literals alone are read, and nothing is evaluated.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings as django_settings

from pleme_redis_django.adoption.schedules.entry import CannotExpress, Entry, ForeignSchedule
from pleme_redis_django.adoption.schedules.plain_values import checked_plain
from pleme_redis_django.adoption.schedules.tables import QSchedule
from pleme_redis_django.jobs.definitions.cron_expression import zone_of
from pleme_redis_django.jobs.definitions.schedule_values import CatchUp
from pleme_redis_django.jobs.definitions.timing import Timing
from pleme_redis_django.schedules.moments import aware
from pleme_redis_django.wording import shortened

MAX_TEXT = 20_000
"""Characters of a text of arguments: what is nested deeper than Python's parser goes is refused by it."""
LAST_DAY = 28
"""Of a month, that each month has."""
_MONTHS = {"M": 1, "BM": 2, "Q": 3, "Y": 12}
# What async_task() takes for itself out of the named arguments.
_OPTIONS = frozenset(
    {
        *("q_options", "hook", "group", "save", "sync", "cached", "ack_failure", "iter_count", "iter_cached"),
        *("chain", "broker", "cluster", "timeout", "task_name"),
    }
)
_WORDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


def django_q_entries(using: str) -> Iterator[Entry]:
    """Yield what is in the table of django-q2's schedules. Those without a name have that of their function."""
    names: set[str] = set()
    for row in QSchedule._default_manager.using(using).order_by("pk"):
        name = row.name or row.func
        name = name if name not in names else f"{name} (django-q2 {row.pk})"
        names.add(name)
        yield Entry(name=name, read=partial(_read, row))


def _read(row: QSchedule) -> ForeignSchedule:
    cluster = _configuration()
    _refuse_what_is_around(row, cluster)
    args, kwargs = _args(row.args or ""), _kwargs(row.kwargs or "")
    if options := sorted(_OPTIONS & kwargs.keys()):
        raise CannotExpress(
            f"it gives async_task() {', '.join(options)}. Take that out of its kwargs there, and give @job what it "
            "needs of that, such as a timeout"
        )
    timing, notes = _timing(row, str(cluster.get("time_zone", django_settings.TIME_ZONE)))
    return ForeignSchedule(
        path=row.func,
        args=args,
        kwargs=kwargs,
        timing=timing,
        catch_up=CatchUp.ALL if cluster.get("catch_up", True) else CatchUp.ONE,
        notes=notes,
    )


def _configuration() -> Mapping[str, Any]:
    found = getattr(django_settings, "Q_CLUSTER", None)
    return found if isinstance(found, Mapping) else {}


def _refuse_what_is_around(row: QSchedule, cluster: Mapping[str, Any]) -> None:
    if row.schedule_type == "O":
        raise CannotExpress("it runs once. A schedule repeats: enqueue the job with .using(run_after=...)")
    if row.repeats >= 0:
        raise CannotExpress(
            f"it ends after {row.repeats} more times, and a schedule ends at a time. Set repeats to -1 there, or make "
            "it in the admin with ends_at"
        )
    if row.hook:
        raise CannotExpress(
            f"it has the hook {shortened(row.hook)}. Call that at the end of the job, and clear it there"
        )
    if row.intended_date_kwarg:
        raise CannotExpress(
            f"it gives the tick as {row.intended_date_kwarg}. Read ctx.job.metadata['tick_at'] in the job, and clear "
            "it there"
        )
    own = str(cluster.get("cluster_name", cluster.get("name", "default")))
    if row.cluster and row.cluster != own:
        raise CannotExpress(
            f'it is of the cluster "{shortened(row.cluster)}", and this is "{own}". Import it with the settings of '
            "that one, or clear its cluster there and give @job a queue_name"
        )


def _timing(row: QSchedule, zone_name: str) -> tuple[Timing, tuple[str, ...]]:
    if row.schedule_type == "C":
        return Timing(cron=_cron(row.cron or ""), timezone=zone_name), ()
    if row.next_run is None:
        raise CannotExpress("it has no next_run, and so never runs. Give it one there, or delete it")
    at, zone = aware(row.next_run), zone_of(zone_name)
    if row.schedule_type in {"I", "H"}:
        seconds = 3_600 if row.schedule_type == "H" else 60 * (row.minutes or 1)
        return Timing(interval_seconds=seconds, timezone=zone_name, starts_at=at), ()
    if row.schedule_type == "BW":
        fixed = zone_name == "UTC"
        note = "every 14 days of 24 hours: when the clocks change, it runs an hour earlier or later by them"
        return Timing(interval_seconds=14 * 86_400, timezone=zone_name, starts_at=at), () if fixed else (
            note,
        )
    return Timing(
        cron=_days(row.schedule_type, at, zone), timezone=zone_name, starts_at=at.replace(microsecond=0)
    ), ()


def _days(kind: str, at: datetime, zone: ZoneInfo) -> str:
    """Return the expression of a daily, weekly, monthly or yearly schedule, by the wall clock of its next run."""
    local = at.astimezone(zone)
    time_of_day = f"{local.minute} {local.hour}"
    if local.second:
        time_of_day = f"{local.second} {time_of_day}"
    if kind == "D":
        return f"{time_of_day} * * *"
    if kind == "W":
        return f"{time_of_day} * * {local.isoweekday() % 7}"
    if kind not in _MONTHS:
        raise CannotExpress(
            f"its type is {kind!r}, which django-q2 1.11 does not have. Make the schedule in the admin"
        )
    # django-q2 counts months in UTC: where its day there is another one, so may be the month or its length.
    if local.month != at.month or max(local.day, at.day) > LAST_DAY:
        raise CannotExpress(
            f"it runs on day {local.day} of the month ({at.day} in UTC), and not every month is that long. Make it in "
            f'the admin: "L" is the last day, or move its next_run to a day up to {LAST_DAY}'
        )
    step = _MONTHS[kind]
    months = sorted((local.month - 1 + step * each) % 12 + 1 for each in range(12 // step))
    return f"{time_of_day} {local.day} {'*' if step == 1 else ','.join(str(month) for month in months)} *"


def _cron(text: str) -> str:
    """Return an expression of croniter as one of ours: it has seconds last, and reads some stars in another way."""
    fields = _WORDS.get(text.strip().lower(), text).replace("?", "*").split()
    if len(fields) not in (5, 6):
        raise CannotExpress(
            f"its cron expression {shortened(repr(text))} has {len(fields)} fields. Accepted: 5, or 6"
        )
    day, weekday = fields[2], fields[4]
    if "*" not in (day, weekday) and (day.startswith("*") or weekday.startswith("*")):
        raise CannotExpress(
            f'it fires on day of the month "{day}" or day of the week "{weekday}", which cron reads as both of them. '
            "Write the days as a list there"
        )
    return " ".join([*fields[5:], *fields[:5]])


def _short(text: str, field: str) -> str:
    text = text.strip()
    if len(text) > MAX_TEXT:
        raise CannotExpress(
            f"its {field} have {len(text):,} characters. Accepted: {MAX_TEXT:,}. Store them in your database, and give "
            "the job their key"
        )
    return text


def _args(text: str) -> tuple[Any, ...]:
    text = _short(text, "args")
    if not text:
        return ()
    value = _literal(text, "args")
    return checked_plain(value if isinstance(value, tuple) else (value,))  # type: ignore[no-any-return]  # as it was


def _kwargs(text: str) -> dict[str, Any]:
    """Return named arguments, written as a dict or as ``x=1, y='a'``."""
    text = _short(text, "kwargs")
    if not text:
        return {}
    try:
        value = _literal(text, "kwargs")
    except CannotExpress:
        value = _literal_call(text)
    if not isinstance(value, dict):
        raise _unreadable(text, "kwargs")
    return checked_plain(value)  # type: ignore[no-any-return]  # as it was


def _literal_call(text: str) -> dict[str, Any]:
    try:
        call = ast.parse(f"f({text})", mode="eval").body
        if not isinstance(call, ast.Call) or call.args or not isinstance(call.func, ast.Name):
            raise _unreadable(text, "kwargs")
        return {str(each.arg): ast.literal_eval(_named(each, text)) for each in call.keywords}
    except _NOT_LITERAL:
        raise _unreadable(text, "kwargs") from None


def _named(keyword: ast.keyword, text: str) -> ast.expr:
    if keyword.arg is None:
        raise _unreadable(text, "kwargs")
    return keyword.value


def _literal(text: str, field: str) -> Any:
    try:
        return ast.literal_eval(text)
    except _NOT_LITERAL:
        raise _unreadable(text, field) from None


_NOT_LITERAL = (ValueError, TypeError, SyntaxError, MemoryError, RecursionError)


def _unreadable(text: str, field: str) -> CannotExpress:
    return CannotExpress(
        f"its {field} are {shortened(repr(text))}, which are not Python literals. Correct them there"
    )
