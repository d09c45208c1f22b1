"""When the row of a schedule says that it fires."""

from __future__ import annotations

from pleme_redis_django.jobs.definitions.timing import Timing
from pleme_redis_django.models import Schedule
from pleme_redis_django.schedules.moments import aware_or_none


def timing_of(row: Schedule) -> Timing:
    """Return when a row says that it fires, unchecked."""
    return Timing(
        cron=row.cron,
        interval_seconds=row.interval_seconds,
        timezone=row.timezone,
        starts_at=aware_or_none(row.starts_at),
        ends_at=aware_or_none(row.ends_at),
    )
