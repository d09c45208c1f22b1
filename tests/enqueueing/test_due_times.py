"""Due times: what is accepted, and what is stored of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.utils import timezone

from pleme_redis_django.enqueueing.due_times import checked_run_after, zone_of_naive
from pleme_redis_django.exceptions import EnqueueError

DUE = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_an_aware_time_stays_as_it_is_and_none_means_now() -> None:
    assert checked_run_after(DUE) is DUE
    assert checked_run_after(None) is None


@pytest.mark.parametrize(
    ("run_after", "message"),
    [
        ("tomorrow", "run_after is 'tomorrow'. Accepted: a datetime"),
        (60, "run_after is 60. Accepted: a datetime"),
        (DUE.replace(tzinfo=None), "USE_TZ is on, so its zone is unknown"),
        (DUE.replace(year=1899), "a time of the years 1900 to 8999"),
        (DUE.replace(year=9000), "a time of the years 1900 to 8999"),
    ],
)
def test_what_cannot_be_stored_is_refused(run_after: Any, message: str) -> None:
    with pytest.raises(EnqueueError) as raised:
        checked_run_after(run_after)
    assert message in str(raised.value)


def test_the_error_names_the_option() -> None:
    with pytest.raises(EnqueueError, match=r"^expires_at is 60"):
        checked_run_after(60, "expires_at")


def test_with_zones_nobody_knows_of_which_zone_a_naive_time_is(settings: Any) -> None:
    settings.USE_TZ = True
    assert zone_of_naive() is None


def test_without_zones_a_naive_time_is_of_the_settings_zone_and_not_that_of_a_user(settings: Any) -> None:
    settings.USE_TZ, settings.TIME_ZONE = False, "Europe/Berlin"
    with timezone.override("Asia/Tokyo"):
        assert str(zone_of_naive()) == "Europe/Berlin"
