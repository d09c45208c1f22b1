"""The sampler: one process measures, takes what workers counted once, and keeps the rollups."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connections
from django.db.models import F, Sum
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from pleme_redis_django.metrics import sampler as sampler_module
from pleme_redis_django.metrics.rollups import read
from pleme_redis_django.metrics.sampler import (
    CANDIDATE_INTERVAL_SECONDS,
    IDLE_INTERVAL_SECONDS,
    INTERVAL_SECONDS,
    WATCHED_INTERVAL_SECONDS,
    Sampler,
)
from pleme_redis_django.models import Election, Job, QueueRollup, QueueSample, WorkerTally
from tests.metrics.measuring import SlowCount, a_sampler, ended, store_endings, turn_now
from tests.rows import BACKENDS, ago, make_job

pytestmark = [
    pytest.mark.django_db(databases=["default", "sqlite"]),
    pytest.mark.parametrize("using", BACKENDS),
]


@pytest.fixture
def _fast_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no turn take so long that the next one is put off."""
    monkeypatch.setattr(sampler_module, "BUSY_SHARE", 1e9)


def sample(using: str) -> dict[tuple[str, str], dict[str, Any]]:
    stored = QueueSample.objects.using(using).get().queues
    return {(one["product"], one["queue"]): one for one in stored}


def totals(using: str, **names: str) -> dict[str, Any]:
    rows = QueueRollup.objects.using(using).filter(step_seconds=10, **names)
    return rows.aggregate(**{name: Sum(name) for name in ("completed", "retried", "failed", "cancelled")})


def test_counts_of_workers_are_taken_once(using: str) -> None:
    store_endings([ended(), ended("failed"), ended(queue="images")], using)
    store_endings([ended("retried"), ended("cancelled"), ended(product="blog")], using)
    sampler = a_sampler(using)
    for _ in range(3):
        turn_now(sampler, using)
    everything = {"completed": 3, "retried": 1, "failed": 1, "cancelled": 1}
    assert totals(using, product="", queue_name="") == everything
    assert totals(using, product="shop", queue_name="") == everything | {"completed": 2}
    assert totals(using, product="shop", queue_name="emails") == everything | {"completed": 1}
    assert not WorkerTally.objects.using(using).exists()


def test_one_process_measures_and_another_takes_over(using: str) -> None:
    first, second = a_sampler(using), a_sampler(using)
    make_job(using)
    turn_now(first, using)
    make_job(using)
    assert turn_now(second, using) == CANDIDATE_INTERVAL_SECONDS
    assert sample(using)["default", "default"]["ready"] == 1
    Election.objects.using(using).update(expires_at=F("expires_at") - timedelta(minutes=1))
    turn_now(second, using)
    assert sample(using)["default", "default"]["ready"] == 2


def test_a_process_that_was_replaced_writes_nothing(using: str) -> None:
    sampler = a_sampler(using)
    turn_now(sampler, using)
    Election.objects.using(using).update(holder="00000000-0000-0000-0000-000000000001")
    store_endings([ended()], using)
    turn_now(sampler, using)
    assert WorkerTally.objects.using(using).count() == 1
    assert totals(using, product="", queue_name="")["completed"] == 0


def test_it_measures_more_often_while_somebody_watches(using: str, _fast_machine: None) -> None:
    make_job(using)
    sampler = a_sampler(using)
    assert turn_now(sampler, using) == INTERVAL_SECONDS
    QueueSample.objects.using(using).update(watched_at=Now())
    assert turn_now(sampler, using) == WATCHED_INTERVAL_SECONDS
    QueueSample.objects.using(using).update(watched_at=ago(60))
    assert turn_now(sampler, using) == INTERVAL_SECONDS


def test_an_idle_cluster_is_measured_less_often_and_has_no_gaps(using: str, _fast_machine: None) -> None:
    sampler = a_sampler(using)
    assert turn_now(sampler, using) == IDLE_INTERVAL_SECONDS
    last = twenty_seconds_pass(sampler, using)
    turn_now(sampler, using)
    steps = QueueRollup.objects.using(using).values_list("started_at", flat=True)
    assert set(steps) >= {last - 20, last - 10, last}
    make_job(using)
    assert turn_now(sampler, using) == INTERVAL_SECONDS


def twenty_seconds_pass(sampler: Sampler, using: str) -> int:
    """Set the last turn back, as if it had been twenty seconds ago; return the step that it wrote last."""
    assert sampler._held is not None
    last = sampler._held.step
    sampler._held = dataclasses.replace(sampler._held, step=last - 20)
    QueueRollup.objects.using(using).update(started_at=F("started_at") - 20)
    return last


@pytest.mark.parametrize(
    ("status", "kind"), [("QUEUED", "ready"), ("RUNNING", "running"), ("BLOCKED", "blocked")]
)
def test_between_two_measurements_the_depths_are_drawn_through(using: str, status: str, kind: str) -> None:
    for _ in range(3):
        make_job(using, status=status)
    sampler = a_sampler(using)
    turn_now(sampler, using)
    last = twenty_seconds_pass(sampler, using)
    make_job(using, status=status)
    turn_now(sampler, using)
    rows = QueueRollup.objects.using(using).filter(product="", queue_name="")
    depths = dict(rows.values_list("started_at", kind))
    assert depths[last - 10] == 3
    assert max(depths.values()) == 4


def test_a_long_silence_stays_a_gap(using: str) -> None:
    sampler = a_sampler(using)
    turn_now(sampler, using)
    assert sampler._held is not None
    sampler._held = dataclasses.replace(sampler._held, step=sampler._held.step - 70)
    QueueRollup.objects.using(using).update(started_at=F("started_at") - 70)
    turn_now(sampler, using)
    assert QueueRollup.objects.using(using).filter(step_seconds=10).count() == 2


def test_however_many_processes_there_are_a_slow_count_is_repeated_after_twenty_times_its_length(
    using: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = SlowCount(monkeypatch, seconds=20)
    make_job(using)
    a_sampler(using).turn()
    for _ in range(4):
        # The role is free again, as it is when its term was over during the count.
        Election.objects.using(using).all().delete()
        a_sampler(using).turn()
    assert len(counted.limits) == 1
    row = QueueSample.objects.using(using).get()
    assert row.measured_at is not None
    assert row.next_measure_at is not None
    assert (row.next_measure_at - row.measured_at).total_seconds() == pytest.approx(380, abs=30)


def test_counts_of_workers_are_taken_while_the_next_measurement_is_far(
    using: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = SlowCount(monkeypatch, seconds=20)
    make_job(using)
    sampler = a_sampler(using)
    assert sampler.turn() == INTERVAL_SECONDS
    store_endings([ended()], using)
    assert sampler.turn() == INTERVAL_SECONDS
    assert not WorkerTally.objects.using(using).exists()
    assert totals(using, product="shop", queue_name="emails")["completed"] == 1
    assert len(counted.limits) == 1


def test_a_count_that_fails_leaves_no_tally_and_is_capped_the_next_time(
    using: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = SlowCount(monkeypatch, seconds=30)
    counted.fails = True
    make_job(using)
    store_endings([ended()], using)
    sampler = a_sampler(using)
    with pytest.raises(OperationalError):
        sampler.turn()
    assert not WorkerTally.objects.using(using).exists()
    # Not at once, and by no other process either.
    sampler.turn()
    Election.objects.using(using).all().delete()
    a_sampler(using).turn()
    assert counted.limits == [None]
    counted.fails = False
    Election.objects.using(using).all().delete()
    turn_now(sampler, using)
    assert counted.limits == [None, sampler_module.CAPPED_ROWS]
    assert sample(using)["default", "default"]["is_capped"] is False


def test_the_last_turn_of_a_burst_measures_although_it_is_not_due(using: str) -> None:
    sampler = a_sampler(using)
    turn_now(sampler, using)
    make_job(using)
    sampler.turn()
    assert sample(using) == {}
    sampler.turn(is_last=True)
    assert sample(using)["default", "default"]["ready"] == 1


def test_counts_that_come_late_are_not_lost(using: str) -> None:
    sampler = a_sampler(using)
    turn_now(sampler, using)
    store_endings([ended()], using)
    WorkerTally.objects.using(using).update(counted_at=ago(3_000))
    turn_now(sampler, using)
    rows = read(QueueRollup.objects.using(using).filter(product="shop", queue_name="emails"))
    [(started_at, _key)] = rows
    measured_at = QueueSample.objects.using(using).get().measured_at
    assert measured_at is not None
    assert measured_at.timestamp() - started_at < 90


def test_a_turn_makes_the_same_number_of_queries_whatever_there_is(using: str) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connections[using]) as captured:
            turn_now(a_sampler(using), using)
        Election.objects.using(using).all().delete()
        return len(captured)

    queries()
    make_job(using)
    store_endings([ended()], using)
    few = queries()
    for number in range(60):
        make_job(using, product=f"p{number % 20}", queue_name=f"q{number}")
        store_endings([ended(product=f"p{number % 20}", queue=f"q{number}")], using)
    # SQLite takes fewer values a statement, so there the rows are written in two.
    assert queries() - few in ({0} if using == "default" else {0, 1})


@pytest.mark.django_db(transaction=True)
def test_a_count_that_the_database_ends_is_put_off_and_keeps_no_tallies_waiting(using: str) -> None:
    if using != "default":
        pytest.skip("SQLite ends no statement")
    QueueSample.objects.create(job_model="pleme_redis_django.job")
    make_job(using)
    store_endings([ended()], using)
    sampler = a_sampler(using)
    blocker = psycopg.connect(**connections[using].get_connection_params())
    blocker.execute(f"LOCK TABLE {Job._meta.db_table}")
    with connections[using].cursor() as cursor:
        cursor.execute("SET statement_timeout = '200ms'")
    try:
        with pytest.raises(OperationalError, match="statement timeout"):
            sampler.turn()
        assert not WorkerTally.objects.using(using).exists()
        # Not at once: this turn asks for no count, which would wait for the lock again.
        sampler.turn()
        assert totals(using, product="shop", queue_name="emails")["completed"] == 1
    finally:
        blocker.close()
        connections[using].close()
    assert turn_now(sampler, using) == INTERVAL_SECONDS
    assert sample(using)["default", "default"]["ready"] == 1
