"""Naive times: of which zone a datetime without one is, by Django's settings."""

from __future__ import annotations

from datetime import tzinfo

from django.conf import settings as django_settings
from django.utils import timezone


def zone_of_naive() -> tzinfo | None:
    """Return the zone that a datetime without one is of; None: with USE_TZ it is not known."""
    return None if django_settings.USE_TZ else timezone.get_default_timezone()
