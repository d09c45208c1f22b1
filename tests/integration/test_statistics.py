"""Statistics of real worker processes: what they counted is what the job table says they did."""

from __future__ import annotations

import signal

import pytest
from django.db import connection
from django.db.models import Sum

from pleme_redis_django.metrics.rollups import read
from pleme_redis_django.models import QueueRollup, QueueSample, WorkerTally
from pleme_redis_django.monitoring.snapshot import snapshot
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for
from tests.workload.jobs import add, add_slowly, fail, noop

pytestmark = pytest.mark.process

KINDS = ("completed", "retried", "failed", "cancelled")


def counted(**names: str) -> tuple[int, ...]:
    rows = QueueRollup.objects.filter(step_seconds=10, **names)
    return tuple(rows.aggregate(**{kind: Sum(kind) for kind in KINDS})[kind] or 0 for kind in KINDS)


def done_by_sql() -> tuple[int, ...]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FILTER (WHERE status = 'COMPLETED'), sum(retry_count),"
            " count(*) FILTER (WHERE status = 'FAILED'), count(*) FILTER (WHERE status = 'CANCELLED')"
            " FROM pleme_redis_django_job"
        )
        return tuple(cursor.fetchone())


def test_what_processes_count_is_what_the_table_says(start_workers: StartWorkers) -> None:
    noop.enqueue_many({} for _ in range(300))
    add.using(queue_name="sums", product="shop").enqueue(1, 2)
    add_slowly.enqueue(1, 2)
    fail.enqueue()
    workers = start_workers("--processes", "2")
    wait_for(lambda: sum(counted(product="", queue_name="")) >= 305, "the counts", details=workers.output)
    assert counted(product="", queue_name="") == done_by_sql() == (302, 2, 1, 0)
    assert counted(product="shop", queue_name="sums") == (1, 0, 0, 0)
    rows = read(QueueRollup.objects.filter(step_seconds=10, product="", queue_name=""))
    assert sum(sum(one.runs.values()) for one in rows.values()) == 305
    assert sum(sum(one.waits.values()) for one in rows.values()) == 305
    wait_for(
        lambda: snapshot().cards.failed_last_hour == 1, "the failure in the cards", details=workers.output
    )
    taken = snapshot()
    assert taken.sampled_at is not None
    assert {(one.product, one.queue) for one in taken.queues} == {("default", "default"), ("shop", "sums")}


def test_a_burst_counts_and_measures_at_its_end(start_workers: StartWorkers) -> None:
    noop.enqueue_many({} for _ in range(50))
    workers = start_workers("--burst")
    assert workers.exit_code() == 0
    assert counted(product="", queue_name="")[0] == 50
    assert not WorkerTally.objects.exists()
    assert QueueSample.objects.get().measured_at is not None


def test_the_last_counts_are_stored_when_a_process_ends(start_workers: StartWorkers) -> None:
    workers = start_workers()
    wait_for(lambda: QueueSample.objects.exists(), "the first measurement", details=workers.output)
    noop.enqueue_many({} for _ in range(50))
    wait_for(lambda: done_by_sql()[0] == 50, "the jobs end", details=workers.output)
    workers.signal(signal.SIGTERM)
    assert workers.exit_code() == 0
    left = sum(row[2] for tally in WorkerTally.objects.all() for row in tally.queues)
    assert left + counted(product="", queue_name="")[0] == 50
