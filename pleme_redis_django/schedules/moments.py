"""Moments: times as schedules reckon with them, always aware, and as the database of a project keeps them."""

from __future__ import annotations

from datetime import UTC, datetime

from django.conf import settings as django_settings
from django.utils import timezone


def aware(moment: datetime) -> datetime:
    """Return a time out of the database in UTC; with USE_TZ off it is one of TIME_ZONE."""
    if timezone.is_naive(moment):
        moment = timezone.make_aware(moment, timezone.get_default_timezone())
    return moment.astimezone(UTC)


def aware_or_none(moment: datetime | None) -> datetime | None:
    """Return the same of a time that may be none."""
    return None if moment is None else aware(moment)


def stored(moment: datetime) -> datetime:
    """Return an aware time as the database of the project keeps it."""
    if django_settings.USE_TZ:
        return moment
    return timezone.make_naive(moment, timezone.get_default_timezone())


def stored_or_none(moment: datetime | None) -> datetime | None:
    """Return the same of a time that may be none."""
    return None if moment is None else stored(moment)
