"""Times as schedules reckon with them, and as the database of a project keeps them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from pleme_redis_django.schedules.moments import aware, aware_or_none, stored, stored_or_none

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def test_an_aware_time_stays_the_moment_that_it_is_in_utc() -> None:
    moment = aware(NOON.astimezone(timezone(timedelta(hours=9))))
    assert (moment, moment.tzinfo) == (NOON, UTC)
    assert stored(NOON) == NOON


@pytest.fixture
def naive_berlin(settings: Any) -> None:
    settings.USE_TZ, settings.TIME_ZONE = False, "Europe/Berlin"


def test_a_naive_time_is_of_the_project_s_zone_there_and_back(naive_berlin: None) -> None:
    assert stored(NOON) == datetime(2026, 7, 1, 14)  # noqa: DTZ001 - as a project without USE_TZ keeps it
    assert aware(stored(NOON)) == NOON


def test_no_time_stays_none() -> None:
    assert (aware_or_none(None), stored_or_none(None)) == (None, None)
    assert (aware_or_none(NOON), stored_or_none(NOON)) == (NOON, NOON)
