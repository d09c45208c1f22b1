"""When a schedule fires, in words for people."""

from __future__ import annotations

import pytest

from pleme_redis_django.jobs.definitions.timing import Timing
from pleme_redis_django.jobs.definitions.timing_in_words import in_words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "every second"),
        (90, "every 90 seconds"),
        (60, "every minute"),
        (7_200, "every 2 hours"),
        (86_400, "every day"),
        (86_400_000, "every 1,000 days"),
    ],
)
def test_an_interval_is_told_in_its_largest_unit(seconds: int, words: str) -> None:
    assert in_words(Timing(interval_seconds=seconds)) == words


@pytest.mark.parametrize(
    ("cron", "zone", "words"),
    [
        ("* * * * *", "UTC", "every minute, UTC"),
        ("*/15 * * * *", "UTC", "every 15 minutes, UTC"),
        ("0 */6 * * *", "Etc/GMT+5", "every 6 hours, Etc/GMT+5"),
        ("0 3 * * *", "Europe/Berlin", "at 03:00 every day, Berlin time"),
        ("0 3 * * *", "America/New_York", "at 03:00 every day, New York time"),
        ("not a cron expression", "UTC", "not a cron expression, UTC"),
    ],
)
def test_a_cron_expression_is_told_with_its_zone(cron: str, zone: str, words: str) -> None:
    assert in_words(Timing(cron=cron, timezone=zone)) == words


def test_a_step_that_does_not_divide_the_hour_is_not_told_as_one() -> None:
    assert in_words(Timing(cron="*/7 * * * *")) != "every 7 minutes, UTC"
