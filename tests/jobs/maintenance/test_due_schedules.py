"""The duties about schedules: who does them, when they are done again, and what is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pleme_redis_django.exceptions import StoreError
from pleme_redis_django.jobs.interface.events import ScheduleDisabled, TicksFired
from pleme_redis_django.jobs.interface.schedules import FiredTicks
from pleme_redis_django.jobs.interface.workers import NoRegistry, WorkerIdentity
from pleme_redis_django.jobs.maintenance.due_schedules import (
    DECLARED_AT_START,
    DECLARED_SCHEDULES,
    DUE_SCHEDULES,
    OLD_TICKS,
    DueSchedules,
)
from pleme_redis_django.jobs.maintenance.elections import Elections
from pleme_redis_django.jobs.maintenance.maintainer import Maintainer
from pleme_redis_django.jobs.worker.agenda import Agenda
from tests.jobs.recording import RecordingSink


class Book:
    """A ScheduleBook that does as the test says."""

    key = "types"

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fired = FiredTicks()
        self.is_away = False

    def fire_due(self) -> FiredTicks:
        self.calls.append("fire")
        return self.fired

    def declare(self, *, at_start: bool) -> None:
        self.calls.append(f"declare {at_start}")
        if self.is_away:
            raise StoreError("away")

    def forget_old_ticks(self) -> int:
        self.calls.append("forget")
        return 0


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def sink() -> RecordingSink:
    return RecordingSink()


@pytest.fixture
def maintainer(sink: RecordingSink) -> Maintainer:
    elections = Elections(NoRegistry(), WorkerIdentity(), "jobs")
    return Maintainer("maintenance", elections, sink, Agenda(1.0), probe=lambda: None)


@pytest.fixture
def turn(book: Book, maintainer: Maintainer, sink: RecordingSink) -> Callable[[], float]:
    DueSchedules(book, maintainer, sink).take_on()
    return maintainer.turn


def test_what_the_code_declares_comes_first_and_then_firing(book: Book, turn: Callable[[], float]) -> None:
    assert turn() == 0.0
    turn()
    assert book.calls == ["declare True", "fire"]


def test_a_store_that_is_away_at_the_start_is_told_later(book: Book, turn: Callable[[], float]) -> None:
    book.is_away = True
    with pytest.raises(StoreError):
        turn()
    assert 0.0 < turn() <= 5.0
    assert book.calls == ["declare True"]


def test_the_next_tick_is_when_it_looks_again(book: Book, turn: Callable[[], float]) -> None:
    book.fired = FiredTicks(due_in_seconds=1.5)
    turn()
    assert 1.0 < turn() <= 1.5


def test_it_looks_every_fifteen_seconds_when_no_tick_is_near(book: Book, turn: Callable[[], float]) -> None:
    turn()
    assert 14.0 < turn() <= 15.0


def test_firing_and_caretaking_have_two_roles(maintainer: Maintainer, turn: Callable[[], float]) -> None:
    """One with a long term would keep everybody from firing after the death of its holder."""
    role = maintainer.duty(DUE_SCHEDULES).role
    caretaker = maintainer.duty(DECLARED_SCHEDULES).role
    assert (role, caretaker) == ("schedules:types", "schedule_caretaker:types")
    assert maintainer.duty(OLD_TICKS).role == caretaker
    assert maintainer.duty(DECLARED_AT_START).role is None


def test_what_was_fired_is_told(book: Book, turn: Callable[[], float], sink: RecordingSink) -> None:
    book.fired = FiredTicks(enqueued=2, passed_over=1, disabled=(("nightly", "why"),))
    turn()
    turn()
    assert sink.events == [TicksFired(2, 1), ScheduleDisabled("nightly", "why")]
