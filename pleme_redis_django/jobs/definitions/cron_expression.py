"""Cron expressions: what is accepted, and when one fires in a zone. ``cronsim`` reads them, as Debian's cron does.

A time of day that the zone's clock skips fires once, at the next minute that exists; one that the clock
shows twice fires once. An expression whose minute or hour begins with ``*`` counts time that passes instead,
and so goes on through both hours.
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
    except (KeyError, ValueError, OSError):  # No such zone; no name at all; a folder of them.
        raise refusal from None


def ticks_after(expression: str, zone: ZoneInfo, moment: datetime) -> Iterator[datetime]:
    """Yield when the expression fires, in UTC and ascending, beginning with the first time after ``moment``."""
    last = moment
    try:
        for tick in CronSim(expression, moment.astimezone(zone)):
            at = tick.astimezone(UTC)
            # Around a change of the clocks cronsim may name a time twice, or one that is over.
            if at > last:
                last = at
                yield at
    except (OverflowError, ValueError):
        return  # Past the last year that there is.


def last_tick(expression: str, zone: ZoneInfo, moment: datetime) -> datetime | None:
    """Return the last time that the expression fired, ``moment`` included; None: in fifty years it did not."""
    # Beside a change of the clocks the way back may pass a time over: it only says from where to look forwards.
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
