"""Codecs of datetime, date, time and timedelta, as ISO 8601 texts.

A datetime follows Django's USE_TZ, as ``run_after`` does. With it, a datetime without a zone is
refused, and the others are stored, and given to the handler, in UTC. Without it, a datetime is a time of
TIME_ZONE, and one that has a zone is converted to that.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from pleme_redis_django.jobs.definitions.codecs.codec import Codec

_NO_TIME = timedelta()
_DURATION = re.compile(
    r"(-?)P(?=[\dT])(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d{1,6}))?S)?)?", re.ASCII
)

_zones_of_naive: list[Callable[[], tzinfo | None]] = []


def bind_zone_of_naive(zone: Callable[[], tzinfo | None]) -> None:
    """Read a datetime without a zone as a time of the zone that ``zone`` returns; None: refuse it."""
    _zones_of_naive[:] = [zone]


def _zone_of_naive() -> tzinfo | None:
    return _zones_of_naive[0]() if _zones_of_naive else None


def _encode_moment(value: Any) -> str:
    if not isinstance(value, datetime):
        MOMENT.refuse(value)
    try:
        moment = _by_the_rule(value)
    except (ValueError, OverflowError):
        MOMENT.refuse(value, f"is {value.isoformat()}, which is outside of the years 1 to 9999 in UTC")
    if moment is None:
        MOMENT.refuse(value, f"is the naive {value.isoformat()}, and USE_TZ is on, so its zone is unknown")
    return moment.isoformat()


def _decode_moment(stored: Any) -> datetime:
    try:
        moment = _by_the_rule(datetime.fromisoformat(stored))
    except (TypeError, ValueError, OverflowError):
        MOMENT.refuse_stored(stored)
    if moment is None:
        MOMENT.refuse_stored(stored, f"is the naive {stored!r}, and USE_TZ is on, so its zone is unknown")
    return moment


def _by_the_rule(moment: datetime) -> datetime | None:
    """Return the moment as it is stored and given; None: its zone is unknown."""
    zone = _zone_of_naive()
    if zone is None and moment.tzinfo is UTC:
        return moment
    if moment.utcoffset() is None:
        return None if zone is None else moment
    return moment.astimezone(UTC) if zone is None else moment.astimezone(zone).replace(tzinfo=None)


def _encode_day(value: Any) -> str:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    DAY.refuse(value)


def _decode_day(stored: Any) -> date:
    try:
        return date.fromisoformat(stored)
    except (TypeError, ValueError):
        DAY.refuse_stored(stored)


def _encode_time(value: Any) -> str:
    if isinstance(value, time) and value.tzinfo is None:
        return value.isoformat()
    TIME.refuse(value)


def _decode_time(stored: Any) -> time:
    try:
        moment = time.fromisoformat(stored)
    except (TypeError, ValueError):
        TIME.refuse_stored(stored)
    if moment.tzinfo is not None:
        TIME.refuse_stored(stored)
    return moment


def _encode_duration(value: Any) -> str:
    """Return what Django's ``duration_iso_string`` does, so that Django and others read it."""
    if not isinstance(value, timedelta):
        DURATION.refuse(value)
    sign, value = ("-", -value) if value < _NO_TIME else ("", value)
    minutes, seconds = divmod(value.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{value.microseconds:06d}" if value.microseconds else ""
    return f"{sign}P{value.days}DT{hours:02d}H{minutes:02d}M{seconds:02d}{fraction}S"


def _decode_duration(stored: Any) -> timedelta:
    try:
        found = _DURATION.fullmatch(stored)
        if found is None:
            DURATION.refuse_stored(stored)
        sign, days, hours, minutes, seconds, fraction = found.groups()
        length = timedelta(
            days=int(days or 0),
            hours=int(hours or 0),
            minutes=int(minutes or 0),
            seconds=int(seconds or 0),
            microseconds=int((fraction or "").ljust(6, "0")),
        )
    except (TypeError, ValueError, OverflowError):
        DURATION.refuse_stored(stored)
    return -length if sign else length


_TEXT = frozenset({str})
MOMENT = Codec(
    annotation="datetime",
    accepts="a datetime; with USE_TZ one that has a zone, such as timezone.now()",
    reads='text such as "2026-01-31T09:30:00+00:00"; with USE_TZ it needs an offset',
    encode=_encode_moment,
    decode=_decode_moment,
    forms=_TEXT,
    types=(datetime,),
)
DAY = Codec(
    annotation="date",
    accepts="a date that is not a datetime",
    reads='text such as "2026-01-31"',
    encode=_encode_day,
    decode=_decode_day,
    forms=_TEXT,
    types=(date,),
)
TIME = Codec(
    annotation="time",
    accepts="a time of day without a zone, such as time(9, 30)",
    reads='text such as "09:30:00", without an offset',
    encode=_encode_time,
    decode=_decode_time,
    forms=_TEXT,
    types=(time,),
)
DURATION = Codec(
    annotation="timedelta",
    accepts="a timedelta",
    reads='text such as "P1DT02H03M04S"',
    encode=_encode_duration,
    decode=_decode_duration,
    forms=_TEXT,
    types=(timedelta,),
)
