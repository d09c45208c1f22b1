"""A book of schedules whose time the test says, on each database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pleme_redis_django.jobs.definitions.schedule_values import CatchUp, Overlap
from pleme_redis_django.models import Schedule, ScheduleTick
from pleme_redis_django.schedules.book import OrmScheduleBook
from tests.rows import BACKENDS
from tests.schedules import jobs

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


class SetClock:
    """The time of the database, as the test sets it."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self, _using: str) -> datetime:
        return self.now

    def pass_(self, **time: float) -> None:
        self.now += timedelta(**time)


@pytest.fixture(params=BACKENDS)
def using(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def book(using: str, clock: SetClock) -> OrmScheduleBook:
    return OrmScheduleBook(using=using, clock=clock)


@pytest.fixture
def make(using: str) -> Callable[..., Schedule]:
    """Store a schedule, every minute and due at noon unless the fields say otherwise."""

    def _make(name: str = "nightly", **fields: Any) -> Schedule:
        values = {
            "product": "default",
            "name": name,
            "job_type": jobs.report.name,
            "parameters": {"shop": "berlin"},
            "cron": "* * * * *",
            "timezone": "UTC",
            "next_tick_at": NOON,
            "catch_up": CatchUp.SKIP,
            "overlap": Overlap.SKIP,
            **fields,
        }
        return Schedule._base_manager.using(using).create(**values)

    return _make


def outcomes(schedule: Schedule) -> list[tuple[str, str]]:
    """What became of the schedule's ticks, oldest first."""
    rows = ScheduleTick._base_manager.using(schedule._state.db).filter(schedule=schedule).order_by("tick_at")
    return [(tick.tick_at.strftime("%H:%M:%S"), tick.outcome) for tick in rows]
