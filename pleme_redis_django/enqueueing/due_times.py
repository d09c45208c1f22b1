"""Due times: when a job may be asked to run, checked wherever somebody says it, and of which zone a naive time is."""

from __future__ import annotations

from datetime import datetime, tzinfo

from django.conf import settings as django_settings
from django.utils import timezone

from pleme_redis_django.exceptions import EnqueueError

# PostgreSQL keeps times that Python cannot load in every zone: a claim of such a row would fail for ever.
FIRST_DUE_YEAR, LAST_DUE_YEAR = 1900, 8999


def checked_run_after(run_after: object, name: str = "run_after") -> datetime | None:
    """Return a due time as it is stored; it is an aware datetime of the years 1900 to 8999, or None.

    Raises EnqueueError for anything else. With USE_TZ off naive ones are of TIME_ZONE, and aware ones become so.
    """
    if run_after is None:
        return None
    if not isinstance(run_after, datetime):
        raise EnqueueError(
            f"{name} is {run_after!r}. Accepted: a datetime, such as timezone.now() + timedelta(hours=1)."
        )
    if django_settings.USE_TZ and timezone.is_naive(run_after):
        raise EnqueueError(
            f"{name} is the naive {run_after.isoformat()}, and USE_TZ is on, so its zone is unknown. "
            "Accepted: an aware datetime, such as timezone.now() + timedelta(hours=1)."
        )
    if not FIRST_DUE_YEAR <= run_after.year <= LAST_DUE_YEAR:
        raise EnqueueError(
            f"{name} is {run_after.isoformat()}. Accepted: a time of the years {FIRST_DUE_YEAR} to "
            f"{LAST_DUE_YEAR}; leave it out to have the job run now."
        )
    if not django_settings.USE_TZ and timezone.is_aware(run_after):
        return timezone.make_naive(run_after, timezone.get_default_timezone())
    return run_after


def zone_of_naive() -> tzinfo | None:
    """Return the zone that a datetime without one is of; None: with USE_TZ it is not known."""
    return None if django_settings.USE_TZ else timezone.get_default_timezone()
