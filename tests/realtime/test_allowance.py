"""How many things may pass in a second."""

from __future__ import annotations

from pleme_redis_django.realtime.allowance import Allowance
from pleme_redis_django.testing import ManualClock


def test_burst_is_twice_the_rate_and_then_the_rate() -> None:
    clock = ManualClock()
    allowance = Allowance(10, clock=clock)
    assert [allowance.take() for _ in range(21)] == [True] * 20 + [False]
    clock.advance(0.5)
    assert [allowance.take() for _ in range(6)] == [True] * 5 + [False]


def test_pause_fills_no_more_than_the_burst() -> None:
    clock = ManualClock()
    allowance = Allowance(1, 3, clock=clock)
    clock.advance(1000)
    assert [allowance.take() for _ in range(4)] == [True] * 3 + [False]


def test_debt_is_bounded_by_one_burst() -> None:
    clock = ManualClock()
    allowance = Allowance(10, clock=clock)
    allowance.charge(1_000_000)
    clock.advance(2)
    assert not allowance.take()
    clock.advance(0.2)
    assert allowance.take()


def test_full_again_after_a_pause() -> None:
    clock = ManualClock()
    allowance = Allowance(10, clock=clock)
    assert allowance.is_full()
    allowance.take()
    assert not allowance.is_full()
    clock.advance(1)
    assert allowance.is_full()
