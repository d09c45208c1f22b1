"""The last minutes of a queue: its pace, whether it grows, and what a chart draws of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from pleme_redis_django.metrics.recent import (
    SPARK_POINTS,
    LatestActivity,
    QueueActivity,
    RecentActivity,
    read_recent,
    read_usual,
)
from pleme_redis_django.metrics.rollups import RollupStore
from pleme_redis_django.metrics.tally import Tally, with_totals
from tests.metrics.measuring import LABEL
from tests.rows import BACKENDS

NOW = 1_700_000_000 // 3600 * 3600 + 1800
EMAILS = ("shop", "emails")


def activity(
    *,
    ended: int = 0,
    since: int = NOW - 120,
    depths: dict[int, int] | None = None,
    measured: Iterable[int] = (),
) -> RecentActivity:
    compared = tuple(depths or measured)
    latest = LatestActivity(ended=ended, since=since, depths=depths or {})
    return RecentActivity(queues={}, minutes=frozenset(), latest={EMAILS: latest}, compared=compared)


# Of what was read


def test_the_pace_is_that_of_the_time_since_it_had_something_to_do() -> None:
    assert activity(ended=120).trend(EMAILS, 0, NOW)[0] == 60
    assert activity(ended=120, since=NOW - 90).trend(EMAILS, 0, NOW)[0] == 80


def test_the_first_seconds_are_not_taken_for_a_minutes_pace() -> None:
    assert activity(ended=5, since=NOW - 10).trend(EMAILS, 0, NOW)[0] == 5


def test_a_queue_without_anything_ended_has_no_pace() -> None:
    assert activity(measured=[NOW - 120]).trend(("shop", "other"), 0, NOW) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("before", "ready", "growth"),
    [
        ({NOW - 120: 100, NOW - 60: 100}, 200, 52.17),
        ({NOW - 120: 300, NOW - 60: 300}, 200, -52.17),
        ({NOW - 120: 100, NOW - 60: 300}, 200, 0.0),
        ({NOW - 120: 200, NOW - 60: 100}, 200, 0.0),
        ({}, 200, None),
    ],
    ids=["grows", "shrinks", "turned", "stands", "not known"],
)
def test_it_grows_or_shrinks_when_both_minutes_say_so(
    before: dict[int, int], ready: int, growth: float | None
) -> None:
    assert activity(depths=before).trend(EMAILS, ready, NOW)[1] == growth


def test_a_spark_is_half_an_hour_with_gaps_where_nothing_was_measured() -> None:
    minute = NOW // 60 * 60
    recent = RecentActivity(
        queues={}, minutes=frozenset({minute, minute - 60, minute - 3600}), latest={}, compared=()
    )
    drawn = recent.spark(QueueActivity(depths={minute: 9, minute - 120: 4}), NOW + 30)
    assert len(drawn) == SPARK_POINTS
    assert drawn[-3:] == [None, 0, 9]


# Of the rows


databases = [
    pytest.mark.django_db(databases=["default", "sqlite"]),
    pytest.mark.parametrize("using", BACKENDS),
]


def on_each_database(test: Any) -> Any:
    for mark in databases:
        test = mark(test)
    return test


def measured(store: RollupStore, moments: Iterable[int], **fields: Any) -> None:
    for at in moments:
        tallies = with_totals({EMAILS: Tally(**fields)})
        store.add({(at, key): one for key, one in tallies.items()})


@on_each_database
def test_ten_minutes_count_for_what_was_done_and_an_hour_for_what_failed(using: str) -> None:
    store = RollupStore(job_model=LABEL, using=using)
    long_ago, lately = range(NOW - 3000, NOW - 2940, 10), range(NOW - 60, NOW, 10)
    measured(store, [*long_ago, *lately], completed=2, failed=1, ready=7)
    store.roll_up(NOW)
    queue = read_recent(store, NOW).queues[EMAILS]
    assert (queue.done, queue.failed, queue.failed_of_late) == (6 * 3, 12, 6)
    assert set(queue.depths.values()) == {7}


@on_each_database
def test_a_minute_that_was_put_together_is_not_counted_twice(using: str) -> None:
    store = RollupStore(job_model=LABEL, using=using)
    measured(store, range(NOW - 300, NOW, 10), completed=1)
    open_steps = read_recent(store, NOW).queues[EMAILS].done
    store.roll_up(NOW)
    assert read_recent(store, NOW).queues[EMAILS].done == open_steps == 30


@on_each_database
def test_nothing_measured_is_no_queue_and_no_trend(using: str) -> None:
    recent = read_recent(RollupStore(job_model=LABEL, using=using), NOW)
    assert (recent.queues, recent.minutes, recent.trend(EMAILS, 5, NOW)) == ({}, frozenset(), (0.0, None))


@on_each_database
def test_what_is_usual_is_of_whole_hours_of_each_queue(using: str) -> None:
    store = RollupStore(job_model=LABEL, using=using)
    hour = NOW // 3600 * 3600
    measured(store, range(hour - 3600, hour, 600), completed=9, failed=1)
    store.roll_up(NOW)
    assert read_usual(store) == {EMAILS: (60, 6)}
