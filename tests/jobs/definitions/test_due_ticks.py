"""Which ticks fire at a schedule's turn, however late it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pleme_redis_django.jobs.definitions.due_ticks import JOBS_A_TURN, Turn, due_ticks
from pleme_redis_django.jobs.definitions.schedule_values import CatchUp
from pleme_redis_django.jobs.definitions.timing import Timing

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
MINUTELY = Timing(cron="* * * * *")
SECONDLY = Timing(interval_seconds=1)


def turn(timing: Timing, late: timedelta, catch_up: CatchUp, limit: int = 100) -> Turn:
    return due_ticks(timing, NOON, NOON + late, catch_up, limit)


@pytest.mark.parametrize("catch_up", CatchUp)
@pytest.mark.parametrize("timing", [MINUTELY, Timing(interval_seconds=60)])
def test_a_tick_in_time_fires(timing: Timing, catch_up: CatchUp) -> None:
    found = turn(timing, timedelta(seconds=3), catch_up)
    assert [(tick.at, tick.fires, tick.passed_over) for tick in found.ticks] == [(NOON, True, 0)]
    assert found.next_tick_at == NOON + timedelta(minutes=1)


def test_missed_ticks_are_skipped_and_counted() -> None:
    daily = Timing(cron="0 12 * * *")
    found = turn(daily, timedelta(days=3, hours=1), CatchUp.SKIP)
    assert [(tick.at, tick.fires, tick.passed_over) for tick in found.ticks] == [
        (NOON + timedelta(days=3), False, 3)
    ]
    assert found.next_tick_at == NOON + timedelta(days=4)


def test_of_several_the_newest_fires_when_it_is_in_time() -> None:
    found = turn(SECONDLY, timedelta(seconds=90), CatchUp.SKIP)
    assert [(tick.at, tick.fires, tick.passed_over) for tick in found.ticks] == [
        (NOON + timedelta(seconds=90), True, 90)
    ]


def test_one_job_stands_for_all_missed_ticks() -> None:
    found = turn(MINUTELY, timedelta(hours=2, seconds=30), CatchUp.ONE)
    assert [(tick.at, tick.fires, tick.passed_over) for tick in found.ticks] == [
        (NOON + timedelta(hours=2), True, 120)
    ]
    assert found.next_tick_at == NOON + timedelta(hours=2, minutes=1)


def test_all_missed_ticks_fire_oldest_first() -> None:
    found = turn(MINUTELY, timedelta(minutes=5), CatchUp.ALL)
    assert [tick.at for tick in found.ticks] == [NOON + timedelta(minutes=minute) for minute in range(6)]
    assert all(tick.fires for tick in found.ticks)


def test_of_too_many_the_last_ones_fire() -> None:
    found = turn(MINUTELY, timedelta(minutes=50), CatchUp.ALL, limit=3)
    assert [(tick.at - NOON, tick.passed_over) for tick in found.ticks] == [
        (timedelta(minutes=48), 48),
        (timedelta(minutes=49), 0),
        (timedelta(minutes=50), 0),
    ]
    assert found.next_tick_at == NOON + timedelta(minutes=51)


def test_a_turn_makes_a_bounded_number_of_jobs_and_the_next_goes_on() -> None:
    late = timedelta(seconds=250)
    found = turn(SECONDLY, late, CatchUp.ALL, limit=1_000)
    assert len(found.ticks) == JOBS_A_TURN
    assert found.next_tick_at == NOON + timedelta(seconds=JOBS_A_TURN)
    then = due_ticks(SECONDLY, found.next_tick_at, NOON + late, CatchUp.ALL, 1_000)
    assert then.ticks[0].at == NOON + timedelta(seconds=JOBS_A_TURN)
    assert then.ticks[0].passed_over == 0


@pytest.mark.parametrize("catch_up", CatchUp)
def test_years_of_missed_seconds_cost_no_time(catch_up: CatchUp) -> None:
    """A row that nobody fired for years, or whose clock was wrong: a bounded number is counted."""
    found = turn(Timing(cron="* * * * * *"), timedelta(days=3650), catch_up, limit=10)
    assert found.ticks[0].passed_over == 1_000
    assert len(found.ticks) <= 10
    assert found.next_tick_at == NOON + timedelta(days=3650, seconds=1)


def test_a_schedule_that_has_ended_has_no_next_tick() -> None:
    ending = Timing(cron="* * * * *", ends_at=NOON)
    for catch_up in CatchUp:
        found = turn(ending, timedelta(seconds=10), catch_up)
        assert [tick.at for tick in found.ticks] == [NOON]
        assert found.next_tick_at is None
