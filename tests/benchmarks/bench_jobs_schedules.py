"""Schedules: what firing costs the database with 10,000 of them, one due each second, and when many are due at once."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, connections

from pleme_redis_django.models import Job, Schedule, ScheduleTick
from pleme_redis_django.schedules.book import OrmScheduleBook
from pleme_redis_django.schedules.tables import database_now
from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.workers import settle, start_afresh
from tests.workload.jobs import noop

SCHEDULES = 10_000
AT_ONCE = 2_000
SECONDS = 100
ACCEPTED_MILLISECONDS = 20
START = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    """Asks the database for its time, as firing does, and tells one of its own."""

    now = START

    def __call__(self, using: str) -> datetime:
        database_now(using)
        return self.now


def run(servers: BenchmarkServers) -> list[Row]:
    start_afresh(servers)
    clock = Clock()
    book = OrmScheduleBook(clock=clock)
    _make(lambda number: START + timedelta(seconds=number))
    idle, due, walls = [], [], []
    for _second in range(SECONDS):
        clock.now += timedelta(seconds=1)
        due.append(_turn(book, walls, enqueues=1))
        idle.append(_turn(book, [], enqueues=0))
    _make(lambda _number: clock.now, AT_ONCE)
    clock.now += timedelta(seconds=1)
    began = time.perf_counter()
    fired = 0
    while fired < AT_ONCE:
        fired += book.fire_due().enqueued
    all_at_once = time.perf_counter() - began
    _forget()
    start_afresh(servers)
    return [
        Row(
            name=f"{SCHEDULES:,} schedules, one due a second",
            value=statistics.median(due),
            unit="ms of the database a second",
            target=ACCEPTED_MILLISECONDS,
            at_least=False,
            note=f"a turn {statistics.median(walls):.1f} ms; one that fires nothing {statistics.median(idle):.1f} ms",
        ),
        Row(name=f"{AT_ONCE:,} due at once", value=AT_ONCE / all_at_once, unit="1/s"),
    ]


def _make(first: Callable[[int], datetime], count: int = SCHEDULES) -> None:
    """Store the schedules anew, each with its first tick; the next is hours away."""
    _forget()
    Schedule.objects.bulk_create(
        [
            Schedule(
                product="default",
                name=f"number {number}",
                job_type=noop.name,
                interval_seconds=SCHEDULES,
                timezone="UTC",
                starts_at=first(number),
                next_tick_at=first(number) + timedelta(seconds=1),
                overlap="allow",
            )
            for number in range(count)
        ]
    )
    settle()


def _forget() -> None:
    ScheduleTick.objects.all().delete()
    Schedule.objects.all().delete()
    Job.objects.all().delete()


def _turn(book: OrmScheduleBook, walls: list[float], *, enqueues: int) -> float:
    """Take a turn; return the milliseconds in which the database was asked something."""
    with _measured() as spent:
        began = time.perf_counter()
        fired = book.fire_due()
        walls.append(1000 * (time.perf_counter() - began))
    assert fired.enqueued == enqueues, fired
    return 1000 * sum(spent)


@contextmanager
def _measured() -> Iterator[list[float]]:
    spent: list[float] = []

    def measure(execute: Callable[..., Any], *arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return execute(*arguments)
        finally:
            spent.append(time.perf_counter() - began)

    def measured_commit(commit: Callable[[], None]) -> Callable[[], None]:
        return lambda: measure(commit)

    held = connections["default"]
    original = held._commit  # the one place where Django commits
    held._commit = measured_commit(original)
    try:
        with connection.execute_wrapper(measure):
            yield spent
    finally:
        del held._commit
