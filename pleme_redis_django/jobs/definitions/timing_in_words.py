"""Timing in words: "every 5 minutes", "at 03:00 every day, Berlin time". Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from pleme_redis_django.jobs.definitions.timing import Timing

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
# Only steps that divide the hour or the day: with others, the last step would be shorter.
_EVERY_MINUTES = re.compile(r"(?:\*|\*/(1|2|3|4|5|6|10|12|15|20|30)) \* \* \* \*")
_EVERY_HOURS = re.compile(r"0 (?:\*|\*/(1|2|3|4|6|8|12)) \* \* \*")


def in_words(timing: Timing) -> str:
    """Return when a schedule fires, for people; what cannot be read is shown as it is."""
    if timing.interval_seconds is not None:
        return _every_seconds(timing.interval_seconds)
    return f"{_cron_in_words(timing.cron)}, {_zone_in_words(timing.timezone)}"


def _cron_in_words(expression: str) -> str:
    for pattern, unit in ((_EVERY_MINUTES, "minute"), (_EVERY_HOURS, "hour")):
        if match := pattern.fullmatch(expression):
            return _every(int(match[1] or 1), unit)
    try:
        # The moment does not matter to the words.
        words = CronSim(expression, datetime.now(UTC)).explain()
    except (CronSimError, ValueError, TypeError, IndexError, AssertionError):
        return expression
    return words[:1].lower() + words[1:]


def _every_seconds(seconds: int) -> str:
    size, unit = next((size, unit) for size, unit in _UNITS if seconds % size == 0)
    return _every(seconds // size, unit)


def _every(count: int, unit: str) -> str:
    return f"every {unit}" if count == 1 else f"every {count:,} {unit}s"


def _zone_in_words(timezone: str) -> str:
    area, _, place = timezone.rpartition("/")
    return timezone if not area or area == "Etc" else f"{place.replace('_', ' ')} time"
