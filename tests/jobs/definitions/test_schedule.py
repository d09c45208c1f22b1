"""cron() and every(): what they refuse, and what @job does with what they make."""

from __future__ import annotations

import pytest

from pleme_redis_django import cron, every, once_per
from pleme_redis_django.exceptions import InvalidParameters, InvalidSchedule
from pleme_redis_django.jobs.definitions.declared_schedule import DeclaredSchedule
from pleme_redis_django.jobs.definitions.declaring import definition_of
from pleme_redis_django.jobs.definitions.schedule import as_schedules, timing_of


def nightly(shop: str = "berlin") -> None:
    """Do nothing."""


def hourly() -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ("*/5 * * * *", "Accepted: cron"),
        ([cron("* * * * *", name="a"), every(5, name="a")], 'Two schedules of shop.nightly are named "a"'),
        ([300], "Accepted: cron"),
    ],
)
def test_a_job_refuses_what_is_no_schedule(schedule: object, said: str) -> None:
    with pytest.raises(InvalidSchedule, match=said):
        definition_of(nightly, name="shop.nightly", schedule=schedule)


def test_a_job_refuses_a_schedule_whose_parameters_it_cannot_take() -> None:
    with pytest.raises(InvalidParameters, match="unknown"):
        definition_of(hourly, schedule=every(60, parameters={"shop": 1}))


@pytest.mark.parametrize(
    ("schedule", "unique"),
    [
        (every(60, overlap="replace"), "while_running"),
        (every(60, overlap="replace"), once_per(60)),
        (every(60, overlap="replace"), once_per(61)),
        (cron("*/5 * * * *", overlap="replace"), "while_running"),
        (cron("*/5 * * * *", overlap="replace"), once_per(300)),
        (cron("0 9,17 * * *", overlap="replace"), once_per(8 * 3600)),
    ],
)
def test_a_job_refuses_a_schedule_that_would_cancel_it_and_make_none(
    schedule: DeclaredSchedule, unique: object
) -> None:
    with pytest.raises(InvalidSchedule, match='unique="while_waiting"'):
        definition_of(hourly, schedule=schedule, unique=unique)
    assert definition_of(hourly, schedule=schedule, unique="while_waiting").schedules


@pytest.mark.parametrize(
    ("schedule", "seconds"),
    [
        (every(3600, overlap="replace"), 60),
        (every(60, overlap="replace"), 59),
        (cron("*/5 * * * *", overlap="replace"), 299),
        (cron("0 9,17 * * *", overlap="replace"), 8 * 3600 - 1),
    ],
)
def test_a_job_can_be_replaced_whose_period_is_over_at_the_next_tick(
    schedule: DeclaredSchedule, seconds: int
) -> None:
    assert definition_of(hourly, schedule=schedule, unique=once_per(seconds)).schedules


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"catch_up": "never"}, 'Accepted: "skip", "one", "all"'),
        ({"catch_up": "all"}, 'with overlap="skip" all but one of them would make none'),
        ({"overlap": "never"}, 'Accepted: "allow", "skip", "replace", "queue"'),
        ({"jitter_seconds": -1}, "jitter_seconds is -1"),
        ({"catch_up_limit": 0}, "catch_up_limit is 0"),
        ({"name": " "}, "name is ' '"),
        ({"timezone": "Nowhere"}, "The zone is 'Nowhere'"),
    ],
)
@pytest.mark.parametrize(
    "make", [lambda **options: cron("* * * * *", **options), lambda **options: every(5, **options)]
)
def test_options_out_of_range_are_refused(make: object, options: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidSchedule, match=said):
        make(**options)


def test_schedules_of_a_job_are_named_after_it_unless_they_have_names() -> None:
    named = as_schedules([every(60), every(120, name="slow"), every(180)], "shop.nightly")
    assert [one.name for one in named] == ["shop.nightly", "slow", "shop.nightly 3"]
    assert as_schedules(every(60), "shop.nightly")[0].name == "shop.nightly"
    assert as_schedules(None, "shop.nightly") == ()


def test_a_zone_of_its_own_goes_before_that_of_the_settings() -> None:
    assert timing_of(cron("0 3 * * *"), "Europe/Berlin").timezone == "Europe/Berlin"
    assert timing_of(cron("0 3 * * *", timezone="Asia/Tokyo"), "Europe/Berlin").timezone == "Asia/Tokyo"


def test_an_expression_is_tidied_and_parameters_are_a_copy() -> None:
    given = {"shop": "berlin"}
    declared = cron(" 0   3 * * * ", parameters=given)
    given["shop"] = "paris"
    assert (declared.cron, dict(declared.parameters)) == ("0 3 * * *", {"shop": "berlin"})
