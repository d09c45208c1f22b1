"""TimeLimits: one timer for all jobs of a process, woken only where it would sleep past a timeout."""

from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django.jobs.interface.bounds import Bounds
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.holdings import HeldJob
from pleme_redis_django.jobs.worker.time_limits import NEVER, TimeLimits
from pleme_redis_django.testing import ManualClock, MemoryJobStore
from tests.jobs.recording import claimed, held


class Told:
    """A lane that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, HeldJob]] = []

    def time_out(self, held: HeldJob) -> None:
        self.told.append(("time_out", held))

    def give_up(self, held: HeldJob) -> None:
        self.told.append(("give_up", held))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def limits(clock: ManualClock) -> TimeLimits:
    return TimeLimits(Agenda(60), clock)


def job_with(**bounds: Any) -> HeldJob:
    one = held(claimed(MemoryJobStore()), started=True)
    one.context.bounds = Bounds(**bounds)
    return one


def test_nothing_runs_and_the_timer_sleeps_for_ever(limits: TimeLimits) -> None:
    assert limits.turn() == NEVER


def test_a_job_is_told_and_later_given_up(limits: TimeLimits, clock: ManualClock) -> None:
    lane, job = Told(), job_with(timeout=5, kill_after=7)
    limits.begin(0, job, lane, clock() + 5)
    assert limits.turn() == 5
    clock.advance(5)
    assert limits.turn() == 7
    assert lane.told == [("time_out", job)]
    clock.advance(6)
    assert limits.turn() == pytest.approx(1)
    clock.advance(1)
    assert limits.turn() == NEVER
    assert lane.told == [("time_out", job), ("give_up", job)]


def test_a_job_that_has_ended_is_left_alone(limits: TimeLimits, clock: ManualClock) -> None:
    lane = Told()
    limits.begin(3, job_with(timeout=5), lane, clock() + 5)
    limits.end(3)
    clock.advance(100)
    assert (limits.turn(), lane.told) == (NEVER, [])


def test_only_a_job_that_ends_before_all_others_wakes_the_timer(
    limits: TimeLimits, clock: ManualClock
) -> None:
    lane = Told()
    limits.begin(0, job_with(timeout=60), lane, clock() + 60)
    limits.turn()
    limits.begin(1, job_with(timeout=61), lane, clock() + 61)
    assert not limits._wake.is_set()
    limits.begin(2, job_with(timeout=10), lane, clock() + 10)
    assert limits._wake.is_set()
    assert limits.turn() == 10


def test_short_jobs_of_one_timeout_wake_the_timer_once(limits: TimeLimits, clock: ManualClock) -> None:
    """The timer sees none of them: each has ended before its look."""
    lane, wakes, job = Told(), 0, job_with(timeout=60)
    for _ in range(1_000):
        limits.begin(0, job, lane, clock() + 60)
        limits.end(0)
        if limits._wake.is_set():
            wakes += 1
            limits.turn()
        clock.advance(0.01)
    assert wakes == 1
    clock.advance(60)
    assert limits.turn() == NEVER


def test_a_slot_is_told_of_each_job_that_it_runs(limits: TimeLimits, clock: ManualClock) -> None:
    lane, first, second = Told(), job_with(timeout=5, kill_after=7), job_with(timeout=5, kill_after=7)
    for job in (first, second):
        limits.begin(0, job, lane, clock() + 5)
        clock.advance(5)
        limits.turn()
        limits.end(0)
    assert lane.told == [("time_out", first), ("time_out", second)]
