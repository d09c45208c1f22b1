"""When a schedule fires: cron expressions across changes of the clocks, intervals, bounds, and what is out of range."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pleme_redis_django.exceptions import InvalidSchedule
from pleme_redis_django.jobs.definitions.timing import Timing


def local(text: str, zone: str, *, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


def fires(cron: str, zone: str, after: str, count: int) -> list[str]:
    """The next ticks as the zone's clocks show them, with their offset from UTC."""
    timing = Timing(cron=cron, timezone=zone).checked()
    moments = timing.upcoming(count, local(after, zone))
    return [moment.astimezone(ZoneInfo(zone)).strftime("%d %H:%M %z") for moment in moments]


@pytest.mark.parametrize(
    ("zone", "cron", "after", "expected"),
    [
        # The clock jumps from 02:00 to 03:00: what was meant for between fires once, as soon as it can.
        ("Europe/Berlin", "30 2 * * *", "2026-03-28T12:00", ["29 03:00 +0200", "30 02:30 +0200"]),
        ("Australia/Sydney", "30 2 * * *", "2026-10-03T12:00", ["04 03:00 +1100", "05 02:30 +1100"]),
        # There by half an hour, from 02:00 to 02:30.
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T12:00", ["04 02:30 +1100", "05 02:15 +1100"]),
        # The hour that comes twice.
        ("Europe/Berlin", "30 2 * * *", "2026-10-24T12:00", ["25 02:30 +0200", "26 02:30 +0100"]),
        ("Australia/Sydney", "30 2 * * *", "2026-04-04T12:00", ["05 02:30 +1100", "06 02:30 +1000"]),
        ("Australia/Lord_Howe", "45 1 * * *", "2026-04-04T12:00", ["05 01:45 +1100", "06 01:45 +1030"]),
        # Two times that fall together at the end of the jump are one tick.
        ("Europe/Berlin", "0,30 2,3 * * *", "2026-03-29T00:00", ["29 03:00 +0200", "29 03:30 +0200"]),
    ],
)
def test_a_time_of_day_fires_once_whatever_the_clocks_do(
    zone: str, cron: str, after: str, expected: list[str]
) -> None:
    assert fires(cron, zone, after, len(expected)) == expected


def test_a_step_goes_on_through_the_hour_that_comes_twice() -> None:
    assert fires("*/30 * * * *", "Europe/Berlin", "2026-10-25T01:30", 5) == [
        "25 02:00 +0200",
        "25 02:30 +0200",
        "25 02:00 +0100",
        "25 02:30 +0100",
        "25 03:00 +0100",
    ]


def test_a_step_leaves_out_the_hour_that_does_not_exist() -> None:
    assert fires("*/30 * * * *", "Europe/Berlin", "2026-03-29T01:30", 2) == [
        "29 03:00 +0200",
        "29 03:30 +0200",
    ]


def test_a_time_that_came_twice_is_over_after_the_first() -> None:
    """Between its two 02:30 of that night the schedule has fired, and does not look back."""
    timing = Timing(cron="30 2 * * *", timezone="Europe/Berlin")
    second = local("2026-10-25T02:15", "Europe/Berlin", fold=1)
    assert timing.next_after(second) == local("2026-10-26T02:30", "Europe/Berlin").astimezone(UTC)


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "Australia/Sydney", "Australia/Lord_Howe", "UTC", "Africa/Cairo"]
)
@pytest.mark.parametrize(
    "cron", ["30 2 * * *", "*/20 * * * *", "0,15 1,2,3 * * *", "0 0 * * SUN", "15 */2 * * *"]
)
def test_the_last_tick_is_what_going_forwards_finds(zone: str, cron: str) -> None:
    timing = Timing(cron=cron, timezone=zone).checked()
    for start in (
        datetime(2026, 3, 27, tzinfo=UTC),
        datetime(2026, 10, 2, tzinfo=UTC),
        datetime(2026, 10, 24, tzinfo=UTC),
    ):
        ticks = timing.upcoming(300, start - timedelta(days=8))
        for moment in (start + timedelta(minutes=37 * step) for step in range(100)):
            before = [tick for tick in ticks if tick <= moment]
            if moment < ticks[-1]:
                assert timing.last_until(moment) == before[-1], moment


def test_an_interval_is_anchored_and_does_not_drift() -> None:
    timing = Timing(interval_seconds=300)
    late = datetime(2026, 11, 27, 10, 0, 17, 345_000, tzinfo=UTC)
    assert timing.upcoming(2, late) == [
        datetime(2026, 11, 27, 10, 5, tzinfo=UTC),
        datetime(2026, 11, 27, 10, 10, tzinfo=UTC),
    ]
    assert timing.next_after(datetime(2026, 11, 27, 10, 5, tzinfo=UTC)) == datetime(
        2026, 11, 27, 10, 10, tzinfo=UTC
    )
    assert timing.last_until(late) == datetime(2026, 11, 27, 10, 0, tzinfo=UTC)


def test_an_interval_is_counted_from_its_start() -> None:
    start = datetime(2026, 11, 27, 10, 0, 7, tzinfo=UTC)
    timing = Timing(interval_seconds=60, starts_at=start)
    assert timing.upcoming(2, start - timedelta(days=1)) == [start, start + timedelta(seconds=60)]
    assert timing.last_until(start - timedelta(seconds=1)) is None


def test_no_tick_is_outside_of_start_and_end() -> None:
    start, end = datetime(2026, 1, 2, 12, tzinfo=UTC), datetime(2026, 1, 4, 12, tzinfo=UTC)
    timing = Timing(cron="0 12 * * *", starts_at=start, ends_at=end).checked()
    assert timing.upcoming(9, datetime(2025, 1, 1, tzinfo=UTC)) == [start, start + timedelta(days=1), end]
    assert timing.next_after(end) is None
    assert timing.last_until(end + timedelta(days=9)) == end


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"interval_seconds": 0}, "interval is 0"),
        ({"interval_seconds": -5}, "interval is -5"),
        ({"interval_seconds": 10**12}, "interval is 1000000000000"),
        ({"interval_seconds": True}, "interval is True"),
        ({}, "either a cron expression or an interval"),
        ({"cron": "* * * * *", "interval_seconds": 5}, "not both"),
        ({"cron": "* * * * *", "timezone": "Mars/Olympus"}, "The zone is 'Mars/Olympus'"),
        ({"cron": "* * * * *", "timezone": "../../../etc/passwd"}, "The zone is"),
        ({"cron": "* * * * *", "timezone": "Europe"}, "The zone is"),
        ({"cron": "* * * * *", "timezone": "\0"}, "The zone is"),
        ({"cron": "* * * * *", "timezone": ""}, "The zone is"),
        ({"cron": "* * * * *", "starts_at": datetime(9999, 12, 31, tzinfo=UTC)}, "years 1970 to 2999"),
        ({"cron": "* * * * *", "ends_at": datetime(1, 1, 1, tzinfo=UTC)}, "years 1970 to 2999"),
        ({"cron": "* * * * *", "starts_at": datetime(2026, 1, 1)}, "aware"),  # noqa: DTZ001 - what is refused
        (
            {
                "cron": "* * * * *",
                "starts_at": datetime(2026, 1, 2, tzinfo=UTC),
                "ends_at": datetime(2026, 1, 1, tzinfo=UTC),
            },
            "before it starts",
        ),
    ],
)
def test_what_is_out_of_range_is_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidSchedule, match=said):
        Timing(**fields).checked()


def test_the_end_of_all_years_is_no_error() -> None:
    timing = Timing(cron="0 0 29 2 *")
    assert timing.next_after(datetime(9998, 3, 1, tzinfo=UTC)) is None
    assert Timing(interval_seconds=60).next_after(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)) is None
