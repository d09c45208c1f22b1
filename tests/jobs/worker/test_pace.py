"""How far ahead a process claims."""

from __future__ import annotations

import pytest

from pleme_redis_django.jobs.worker.pace import MAX_CLAIM, Pace


def measured(per_second: float, seconds: float = 5.0, step: float = 0.05) -> Pace:
    pace, now, ended = Pace(0.0), 0.0, 0.0
    while now < seconds:
        now += step
        ended += per_second * step
        pace.update(int(ended), now)
    return pace


def test_nothing_is_fetched_ahead_before_anything_was_measured() -> None:
    assert Pace(0.0).prefetch() == 0


@pytest.mark.parametrize(("per_second", "prefetch"), [(0, 0), (5, 0), (100, 10), (2_000, 200)])
def test_a_tenth_of_a_second_of_work_is_fetched_ahead(per_second: float, prefetch: int) -> None:
    assert measured(per_second).prefetch() == pytest.approx(prefetch, rel=0.1, abs=1)


def test_no_claim_is_larger_than_its_limit() -> None:
    assert measured(1_000_000).prefetch() == MAX_CLAIM


def test_a_lane_that_slows_down_is_noticed_within_a_second() -> None:
    pace = measured(1_000, seconds=5.0)
    ended = 5_000
    for step in range(1, 21):
        pace.update(ended, 5.0 + step * 0.05)
    assert pace.prefetch() <= 1


def test_two_updates_at_once_are_one() -> None:
    pace = measured(1_000)
    before = pace.per_second
    pace.update(10**9, 5.0 + 1e-6)
    assert pace.per_second == before
