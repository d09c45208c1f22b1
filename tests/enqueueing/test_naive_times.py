"""Of which zone a datetime without one is: the project's, unless it keeps times with zones."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from pleme_redis_django.enqueueing.naive_times import zone_of_naive


def test_with_zones_nobody_knows(settings: Any) -> None:
    settings.USE_TZ = True
    assert zone_of_naive() is None


def test_without_zones_it_is_the_settings_zone_and_not_that_of_a_user(settings: Any) -> None:
    settings.USE_TZ, settings.TIME_ZONE = False, "Europe/Berlin"
    with timezone.override("Asia/Tokyo"):
        assert str(zone_of_naive()) == "Europe/Berlin"
