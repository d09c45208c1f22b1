"""Lease: for how long a process believes that it lives, and when it may judge others."""

from __future__ import annotations

import time

import pytest

from pleme_redis_django.jobs.worker.lease import GAP_BEATS, EndlessLease, Lease, lease_clock
from pleme_redis_django.testing import ManualClock

LEASE_SECONDS, BEAT_SECONDS = 25.0, 5.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def lease(clock: ManualClock) -> Lease:
    lease = Lease(LEASE_SECONDS, BEAT_SECONDS, clock)
    lease.begin(clock())
    return lease


def beat(lease: Lease, clock: ManualClock, times: int) -> None:
    for _ in range(times):
        clock.advance(BEAT_SECONDS)
        lease.renew(clock())


def test_before_it_has_begun_it_is_neither_current_nor_unbroken(clock: ManualClock) -> None:
    lease = Lease(LEASE_SECONDS, BEAT_SECONDS, clock)
    assert (lease.is_current(), lease.is_unbroken()) == (False, False)


def test_it_ends_when_its_seconds_have_passed_since_the_beat_was_sent(
    lease: Lease, clock: ManualClock
) -> None:
    sent_at = clock()
    clock.advance(4)  # So long the answer took.
    lease.renew(sent_at)
    clock.advance(LEASE_SECONDS - 4 - 0.001)
    assert lease.is_current()
    clock.advance(0.001)
    assert not lease.is_current()


def test_it_may_judge_after_one_lease_of_punctual_beats(lease: Lease, clock: ManualClock) -> None:
    beat(lease, clock, 4)
    assert not lease.is_unbroken()
    beat(lease, clock, 1)
    assert lease.is_unbroken()


def test_a_late_beat_keeps_it_from_judging_for_another_lease(lease: Lease, clock: ManualClock) -> None:
    beat(lease, clock, 5)
    clock.advance(GAP_BEATS * BEAT_SECONDS + 0.001)
    lease.renew(clock())
    assert lease.is_current() and not lease.is_unbroken()
    beat(lease, clock, 4)
    assert not lease.is_unbroken()
    beat(lease, clock, 1)
    assert lease.is_unbroken()


def test_a_beat_that_is_late_by_less_than_the_gap_breaks_nothing(lease: Lease, clock: ManualClock) -> None:
    beat(lease, clock, 5)
    clock.advance(GAP_BEATS * BEAT_SECONDS)
    assert lease.is_unbroken()
    lease.renew(clock())
    assert lease.is_unbroken()


def test_a_missing_beat_is_a_gap_before_the_next_one_comes(lease: Lease, clock: ManualClock) -> None:
    beat(lease, clock, 5)
    clock.advance(GAP_BEATS * BEAT_SECONDS + 0.001)
    assert lease.is_current() and not lease.is_unbroken()


def test_a_new_beginning_forgets_the_beats_before(lease: Lease, clock: ManualClock) -> None:
    beat(lease, clock, 10)
    lease.begin(clock())
    assert lease.is_current() and not lease.is_unbroken()


def test_who_is_watched_by_nobody_lives_and_judges_nobody() -> None:
    assert EndlessLease().is_current() and not EndlessLease().is_unbroken()


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="a system without that clock")
def test_its_clock_goes_on_while_the_machine_is_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever wakes up would otherwise claim for some seconds under a lease that has long run out."""
    clocks = {time.CLOCK_BOOTTIME: 3_600.0, time.CLOCK_MONOTONIC: 1.0}
    monkeypatch.setattr(time, "clock_gettime", clocks.__getitem__)
    assert lease_clock() == 3_600.0
