"""The fields of a crontab as Celery and parse-crontab read them, written as a cron expression that says the same.

Both fire on a day that is among the days of the month AND among those of the week; cron fires on either one.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from pleme_redis_django.adoption.schedules.entry import CannotExpress
from pleme_redis_django.wording import shortened

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_STARRED = re.compile(r"\*/\d+")
_PART = re.compile(r"(\*|[a-z0-9]+)(?:-([a-z0-9]+))?(?:/(\d{1,4}))?")
_MAX_LENGTH = 300


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    name: str
    low: int
    high: int
    names: Sequence[str] = ()
    """By their first three letters, beginning with the lowest number."""


FIELDS = (
    _Field(name="minute", low=0, high=59),
    _Field(name="hour", low=0, high=23),
    _Field(name="day of the month", low=1, high=31),
    _Field(name="month", low=1, high=12, names=_MONTHS),
    _Field(name="day of the week", low=0, high=6, names=_WEEKDAYS),
)


def cron_expression(texts: Sequence[str]) -> str:
    """Return the expression of five fields, ``minute hour day month weekday``. Raises CannotExpress."""
    minute, hour, day, month, weekday = (
        _rewritten(text, field) for text, field in zip(texts, FIELDS, strict=True)
    )
    if day != "*" and weekday != "*":
        raise CannotExpress(
            f'it fires on day of the month "{day}" if that is day of the week "{weekday}" too, and cron fires on '
            "either. Make it in the admin with one of the two, and have the job look at the other"
        )
    return f"{minute} {hour} {day} {month} {weekday}"


def _rewritten(text: str, field: _Field) -> str:
    tidy = "".join(text.split()).lower()
    numbers = _numbers(tidy, field)
    if len(numbers) == field.high - field.low + 1:
        return "*"
    # Not as a list: a field that begins with * counts time that passes when the clocks change.
    return tidy if _STARRED.fullmatch(tidy) else ",".join(_runs(sorted(numbers)))


def _numbers(tidy: str, field: _Field) -> set[int]:
    if len(tidy) > _MAX_LENGTH:
        raise _unreadable(tidy, field)
    numbers: set[int] = set()
    for part in tidy.replace("?", "*").split(","):
        found = _PART.fullmatch(part)
        if found is None or (found[1] == "*" and found[2]):
            raise _unreadable(tidy, field)
        numbers.update(_part(found[1], found[2], found[3], tidy, field))
    return numbers


def _part(first: str, last: str | None, step: str | None, tidy: str, field: _Field) -> list[int]:
    every = list(range(field.low, field.high + 1))
    if first != "*":
        start = _number(first, tidy, field)
        end = field.high if step else start
        end = end if last is None else _number(last, tidy, field)
        if field.names is _WEEKDAYS and (first, last) == ("0", "7"):
            end = field.high
        # 22-2 goes on over midnight.
        every = every[start - field.low :] + every if end < start else every
        every = every[every.index(start) :]
        every = every[: every.index(end) + 1]
    if step is not None and int(step) == 0:
        raise _unreadable(tidy, field)
    return every[:: int(step or 1)]


def _number(word: str, tidy: str, field: _Field) -> int:
    if not word.isdigit():
        if word[:3] not in field.names:
            raise _unreadable(tidy, field)
        return field.low + list(field.names).index(word[:3])
    number = int(word)
    if field.names is _WEEKDAYS and number == 7:
        return 0
    if not field.low <= number <= field.high:
        raise _unreadable(tidy, field)
    return number


def _runs(numbers: list[int]) -> list[str]:
    """Return 1, 2, 3, 7 as 1-3 and 7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return [f"{low}" if low == high else f"{low}-{high}" for low, high in runs]


def _unreadable(tidy: str, field: _Field) -> CannotExpress:
    return CannotExpress(
        f"its {field.name} {shortened(repr(tidy))} cannot be read. Make it in the admin with a cron expression"
    )
