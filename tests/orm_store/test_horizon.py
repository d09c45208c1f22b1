"""Horizon: when looks read only what is due later, and when they look at everything again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pleme_redis_django.orm_store import claim_position
from pleme_redis_django.orm_store.horizon import COMMIT_SECONDS, Horizon
from pleme_redis_django.orm_store.pauses import NOTHING_PAUSED, Pauses

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SLOW_SECONDS = 0.1
QUICK_SECONDS = 0.001


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def horizon(clock: Clock) -> Horizon:
    return Horizon(lambda: NOW, clock)


def look(horizon: Horizon, clock: Clock, seconds: float = SLOW_SECONDS, *, everything: bool = True) -> None:
    begun = horizon.begin()
    clock.now += seconds
    horizon.saw(begun, 0, NOTHING_PAUSED, everything=everything)


def look_later(horizon: Horizon, clock: Clock, seconds: float = QUICK_SECONDS) -> None:
    begun = horizon.begin_later()
    clock.now += seconds
    horizon.saw_later_ones(begun, 0, all_of_them=True)


def set_horizon(horizon: Horizon, clock: Clock) -> None:
    for _ in range(claim_position.SLOW_CLAIMS):
        assert horizon.since(NOTHING_PAUSED) is None
        look(horizon, clock)


def test_slow_looks_that_left_nothing_behind_set_a_horizon(horizon: Horizon, clock: Clock) -> None:
    set_horizon(horizon, clock)
    assert horizon.since(NOTHING_PAUSED) == NOW - timedelta(seconds=COMMIT_SECONDS)
    assert horizon.everything_in() is None


def test_quick_looks_set_none_and_ask_for_no_time(clock: Clock) -> None:
    asked: list[datetime] = []
    horizon = Horizon(lambda: asked.append(NOW) or NOW, clock)
    for _ in range(10):
        look(horizon, clock, QUICK_SECONDS)
        assert horizon.since(NOTHING_PAUSED) is None
    assert asked == []


def test_a_look_that_left_jobs_behind_sets_none(horizon: Horizon, clock: Clock) -> None:
    set_horizon(horizon, clock)
    look(horizon, clock, everything=False)
    assert horizon.since(NOTHING_PAUSED) is None


def test_a_look_behind_the_horizon_says_when_everything_is_looked_at(horizon: Horizon, clock: Clock) -> None:
    set_horizon(horizon, clock)
    look_later(horizon, clock)
    assert horizon.everything_in() == pytest.approx(SLOW_SECONDS / claim_position.HEAD_SHARE - QUICK_SECONDS)
    clock.now += claim_position.MAX_SECONDS_WITHOUT_HEAD
    assert horizon.since(NOTHING_PAUSED) is None
    assert horizon.everything_in() == 0
    look(horizon, clock)
    assert horizon.everything_in() is None


def test_other_pauses_have_no_horizon(horizon: Horizon, clock: Clock) -> None:
    set_horizon(horizon, clock)
    assert horizon.since(Pauses(ids=(1,), queue_names=frozenset({"email"}))) is None


def test_a_new_backlog_behind_the_horizon_ends_it(horizon: Horizon, clock: Clock) -> None:
    set_horizon(horizon, clock)
    for _ in range(claim_position.SLOW_CLAIMS):
        assert horizon.since(NOTHING_PAUSED) is not None
        look_later(horizon, clock, SLOW_SECONDS)
    assert horizon.since(NOTHING_PAUSED) is None


def test_a_far_database_sets_none(clock: Clock) -> None:
    def ask() -> datetime:
        clock.now += SLOW_SECONDS / 3
        return NOW

    horizon = Horizon(ask, clock)
    for _ in range(10):
        look(horizon, clock)
        assert horizon.since(NOTHING_PAUSED) is None
