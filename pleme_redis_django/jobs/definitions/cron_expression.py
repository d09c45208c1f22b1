"""Cron expressions: what is accepted, and when one fires in a zone. ``cronsim`` reads them, as Debian's cron does.

A time of day that the zone's clock skips fires once, at the next minute that exists, and one that the clock
shows twice fires once. An expression whose minute or hour begins with ``*`` counts the time that passes
instead, so it goes on through both hours.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from pleme_redis_django.exceptions import InvalidSchedule
from pleme_redis_django.wording import shortened

CRON_MAX_LENGTH = 200
CRON_FIELDS = (5, 6)
TIMEZONE_MAX_LENGTH = 64
_ACCEPTED = (
    'Accepted: five fields, "minute hour day month weekday", such as "*/5 * * * *" or "0 3 * * MON"; or six, '
    "with seconds in front."
)
_ANY_YEAR = datetime(2024, 1, 1, tzinfo=UTC)


def checked_cron(expression: object) -> str:
    """Return the expression, with single spaces. Raises InvalidSchedule for one that is wrong, or that never fires."""
    if not isinstance(expression, str) or len(expression) > CRON_MAX_LENGTH:
        raise InvalidSchedule(
            f"The cron expression is {shortened(repr(expression))}. Accepted: text of at most {CRON_MAX_LENGTH} "
            "characters."
        )
    fields = expression.split()
    if len(fields) not in CRON_FIELDS:
        raise InvalidSchedule(
            f"The cron expression {shortened(repr(expression))} has {len(fields)} fields. {_ACCEPTED}"
        )
    tidy = " ".join(fields)
    try:
        next(CronSim(tidy, _ANY_YEAR))
    except StopIteration:
        raise InvalidSchedule(f'The cron expression "{tidy}" never fires. {_ACCEPTED}') from None
    except (CronSimError, ValueError, TypeError, AssertionError) as error:
        raise InvalidSchedule(f'The cron expression "{tidy}" cannot be read: {error}. {_ACCEPTED}') from None
    return tidy


@functools.lru_cache(maxsize=512)
def zone_of(name: object) -> ZoneInfo:
    """Return the zone of that name. Raises InvalidSchedule when there is none."""
    refusal = InvalidSchedule(
        f'The zone is {shortened(repr(name))}. Accepted: a name of the IANA database, such as "Europe/Berlin".'
    )
    if not isinstance(name, str) or not 0 < len(name) <= TIMEZONE_MAX_LENGTH:
        raise refusal
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # Not a zone, not a name, or a folder of zones.
        raise refusal from None


def ticks_after(expression: str, zone: ZoneInfo, moment: datetime) -> Iterator[datetime]:
    """Yield when the expression fires, in UTC and ascending, beginning with the first time after ``moment``."""
    last = moment
    try:
        for tick in CronSim(expression, moment.astimezone(zone)):
            at = tick.astimezone(UTC)
            # Around a change of the clocks cronsim may return a time twice, or one that has passed.
            if at > last:
                last = at
                yield at
    except (OverflowError, ValueError):
        return  # After the last year that Python has.


def last_tick(expression: str, zone: ZoneInfo, moment: datetime) -> datetime | None:
    """Return the last time that the expression fired, ``moment`` included; None: not in fifty years."""
    # Near a change of the clocks, counting backwards may skip a time. It only finds where to begin counting forwards.
    backwards = CronSim(expression, moment.astimezone(zone) + _SECOND, reverse=True)
    try:
        before = next(tick for tick in backwards if tick.astimezone(UTC) <= moment)
    except (StopIteration, OverflowError, ValueError):
        return None
    found: datetime | None = None
    for tick in ticks_after(expression, zone, before.astimezone(UTC) - _SECOND):
        if tick > moment:
            break
        found = tick
    return found


_SECOND = timedelta(seconds=1)
