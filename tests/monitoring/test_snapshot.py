"""The snapshot: every number is what plain SQL says, for the products of the scope alone."""

from __future__ import annotations

import json
import math
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from pleme_redis_django.access.product_scope import ProductScope
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.metrics.histogram import bucket_of, middle_of
from pleme_redis_django.models import Job, QueueRollup, QueueSample
from pleme_redis_django.monitoring import storage_warnings
from pleme_redis_django.monitoring.snapshot import QUEUES_SHOWN, snapshot
from pleme_redis_django.operations import drain_worker, pause_queue
from tests.metrics.measuring import ended, measure_now, store_endings
from tests.rows import ago, make_failed_job, make_job, make_jobs, make_worker
from tests.workload.models import EmailJob

pytestmark = pytest.mark.django_db

SHOP = ProductScope(products=frozenset({"shop"}))


def some_jobs() -> None:
    """Two products, every status; deleted jobs and a suspect among them."""
    for product in ("shop", "blog"):
        make_job(product=product, queue_name="emails", run_after=ago(400))
        make_job(product=product, queue_name="emails", run_after=ago(90), crash_count=1)
        make_job(product=product, queue_name="emails", run_after=ago(9_000), deleted_at=ago(1))
        make_job(product=product, queue_name="images", status=JobStatus.PENDING, run_after=ago(-60))
        make_job(product=product, queue_name="images", status=JobStatus.BLOCKED)
        make_job(product=product, queue_name="images", status=JobStatus.RUNNING)
        make_job(product=product, status=JobStatus.COMPLETED)
        make_failed_job(product=product, error_fingerprint=product)


def sql(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def test_depths_are_what_sql_counts() -> None:
    some_jobs()
    measure_now()
    taken = snapshot()
    expected = sql(
        """SELECT product, queue_name, count(*) FILTER (WHERE status = 'QUEUED'),
            count(*) FILTER (WHERE status = 'BLOCKED'), count(*) FILTER (WHERE status = 'PENDING'),
            count(*) FILTER (WHERE status = 'RUNNING'),
            extract(epoch FROM now() - min(run_after) FILTER (WHERE status = 'QUEUED'))::float
        FROM pleme_redis_django_job
        WHERE deleted_at IS NULL AND status IN ('QUEUED', 'BLOCKED', 'PENDING', 'RUNNING') GROUP BY 1, 2"""
    )
    found = {(one.product, one.queue): one for one in taken.queues}
    assert len(found) == len(expected)
    for product, queue, ready, blocked, pending, running, oldest in expected:
        one = found[product, queue]
        assert (one.ready, one.blocked, one.pending, one.running) == (ready, blocked, pending, running)
        assert one.oldest_ready_seconds == (oldest and pytest.approx(oldest, abs=5))
    assert taken.cards.oldest_ready_seconds == pytest.approx(400, abs=20)
    cards = taken.cards
    assert (cards.ready, cards.blocked, cards.pending, cards.running) == (4, 2, 2, 2)


def test_counts_are_what_workers_have_counted() -> None:
    store_endings([ended(waited=seconds, ran=1) for seconds in range(1, 21)])
    store_endings([ended("failed", waited=2), ended("cancelled", waited=2), ended("retried", waited=2)])
    for _ in range(110):
        make_job(product="shop", queue_name="emails")
    measure_now()
    [queue] = snapshot().queues
    [(done, failed)] = sql(
        "SELECT sum(completed + failed + cancelled), sum(failed) FROM pleme_redis_django_queuerollup"
        " WHERE step_seconds = 10 AND queue_name = 'emails'"
    )
    # Less than a minute after the first measurement, a minute's pace is all there is.
    assert (done, failed) == (22, 1)
    assert (queue.done_per_minute, queue.failed_last_hour) == (22, 1)
    assert queue.wait_p95 == pytest.approx(middle_of(bucket_of(19)), rel=1e-5)
    assert queue.clears_in_seconds == pytest.approx(60 * 110 / 22, abs=0.1)
    assert snapshot().cards.failed_last_hour == 1


def test_failures_of_the_last_hour_are_counted_over_rollups_of_any_resolution() -> None:
    store_endings([ended("failed")] * 3)
    measure_now()
    QueueRollup.objects.update(started_at=F("started_at") - 3_000)
    store_endings([ended("failed")] * 2)
    measure_now()
    # Fifty minutes ago is a minute's rollup by now; a moment ago is a step of ten seconds.
    [queue] = snapshot().queues
    assert QueueRollup.objects.filter(step_seconds=60, queue_name="emails").count() == 1
    assert queue.failed_last_hour == 5
    QueueRollup.objects.filter(started_at__lt=time.time() - 1_000).update(started_at=F("started_at") - 700)
    measure_now()
    assert snapshot().queues[0].failed_last_hour == 2


def test_a_scope_sees_its_products_alone() -> None:
    some_jobs()
    store_endings([ended("failed", product="blog"), ended(product="blog")])
    measure_now()
    make_worker(product="shop")
    make_worker(product="blog")
    make_worker()
    pause_queue("emails", product="blog", reason="only blog may know")
    taken = snapshot(SHOP)
    assert {one.product for one in taken.queues} == {"shop"}
    assert (taken.cards.ready, taken.cards.pending, taken.cards.running) == (2, 1, 1)
    assert taken.cards.failed_last_hour == 0
    assert {one.product for one in taken.workers} == {"shop", ""}
    assert [one.fingerprint for one in taken.failures] == ["shop"]
    assert "blog" not in json.dumps(taken.as_json())


def test_before_any_measurement_nothing_is_said() -> None:
    make_job()
    taken = snapshot()
    assert (taken.sampled_at, taken.health.level) == (None, "critical")
    make_worker()
    assert snapshot().health.level == "unknown"
    assert (taken.cards.ready, taken.queues) == (None, ())


def test_queues_in_trouble_come_first_and_the_list_is_capped() -> None:
    for number in range(QUEUES_SHOWN + 5):
        make_job(queue_name=f"q{number}", run_after=ago(number))
    make_job(queue_name="late", run_after=ago(4_000))
    measure_now()
    taken = snapshot()
    assert (taken.queues[0].queue, len(taken.queues), taken.queue_count) == ("late", 50, 56)
    assert taken.health.level == "critical"


def test_a_pause_is_shown_and_excuses_the_queue() -> None:
    make_job(product="shop", queue_name="emails", run_after=ago(400))
    make_worker()
    measure_now()
    assert snapshot().health.level == "warning"
    pause_queue("emails", reason="provider is down", paused_by="ana")
    pause_queue("empty", product="shop")
    taken = snapshot()
    emails, empty = taken.queues
    assert emails.paused is not None
    assert (emails.paused.by, emails.paused.reason, emails.paused.product) == ("ana", "provider is down", "")
    assert (empty.queue, empty.ready, empty.paused is not None) == ("empty", 0, True)
    assert taken.health.level == "ok"
    assert "paused" in taken.health.sentence


def test_workers_are_what_the_registry_says() -> None:
    draining = make_worker(host="web-2")
    drain_worker(draining.pk)
    make_worker(host="web-1", running=3)
    make_worker(host="web-3", heartbeat_at=ago(90), lease_until=ago(40))
    measure_now()
    workers = {one.host: one for one in snapshot().workers}
    assert {host: one.state for host, one in workers.items()} == {
        "web-1": "alive",
        "web-2": "draining",
        "web-3": "dead",
    }
    assert (workers["web-1"].running, workers["web-1"].slots) == (3, 5)
    assert workers["web-3"].silent_seconds == pytest.approx(90, abs=20)


def test_the_spark_has_a_point_a_minute_and_none_where_nothing_was_measured() -> None:
    make_job(product="shop", queue_name="emails")
    make_job(product="shop", queue_name="emails")
    measure_now()
    [queue] = snapshot().queues
    assert queue.spark == (None,) * 29 + (2,)


def test_looking_leaves_a_mark_now_and_then() -> None:
    measure_now()
    snapshot()
    first = QueueSample.objects.get().watched_at
    assert first is not None
    snapshot()
    assert QueueSample.objects.get().watched_at == first
    QueueSample.objects.update(watched_at=first - timedelta(seconds=11))
    snapshot()
    last = QueueSample.objects.get().watched_at
    assert last is not None
    assert last >= first


def test_the_number_of_queries_is_the_same_whatever_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    # Its one query in ten seconds would fall into either count.
    monkeypatch.setattr(storage_warnings, "ASKED_EVERY_SECONDS", math.inf)

    def queries() -> int:
        snapshot()  # leaves the mark of a viewer, if the last one is old
        with CaptureQueriesContext(connection) as captured:
            snapshot()
        return len(captured)

    make_failed_job()
    make_worker()
    measure_now()
    few = queries()
    for number in range(80):
        make_job(product=f"p{number % 20}", queue_name=f"q{number}")
        make_failed_job(error_fingerprint=str(number))
        make_worker()
    measure_now()
    assert queries() == few <= 8


def test_a_viewer_reads_the_job_table_by_the_index_of_failures_alone() -> None:
    make_failed_job()
    make_worker()
    measure_now()
    with CaptureQueriesContext(connection) as captured:
        snapshot()
    of_jobs = [one["sql"] for one in captured if Job._meta.db_table in one["sql"]]
    assert of_jobs
    assert [text for text in of_jobs if "FAILED" not in text and " IN (" not in text] == []


def test_the_payload_is_json_with_the_documented_keys() -> None:
    some_jobs()
    make_worker(queues=["emails"], release="1.2")
    measure_now()
    payload = json.loads(json.dumps(snapshot().as_json()))
    assert payload.keys() >= {"at", "sampled_at", "health", "cards", "queues", "workers", "failures"}
    assert (
        payload["workers"][0] | {"queues": ["emails"], "release": "1.2", "state": "alive"}
        == (payload["workers"][0])
    )
    assert payload["health"]["level"] == "warning"


def test_who_sees_no_product_sees_nothing_that_serves_all() -> None:
    make_worker(host="shared")
    pause_queue("emails", reason="for every product", paused_by="ana")
    measure_now()
    taken = snapshot(ProductScope(products=frozenset()))
    assert (taken.workers, taken.queues, taken.worker_count) == ((), (), 0)
    assert "for every product" not in json.dumps(taken.as_json())


def test_workers_and_figures_are_those_of_the_model_alone() -> None:
    pools = {"default": {}, "email": {"model": "workload.EmailJob", "queues": ["email"]}}
    with override_settings(PLEME_REDIS={"POOLS": pools}):
        make_worker(pool="email", host="emails")
        make_job()
        measure_now()
        taken = snapshot()
        assert (taken.workers, taken.health.level) == ((), "critical")
        assert [one.host for one in snapshot(model=EmailJob).workers] == ["emails"]


def test_figures_are_old_when_the_next_ones_are_overdue() -> None:
    make_worker()
    measure_now()
    assert not snapshot().is_old
    QueueSample.objects.update(measured_at=ago(60), next_measure_at=ago(40))
    assert snapshot().is_old
    QueueSample.objects.update(measured_at=ago(60), next_measure_at=ago(-40))
    assert not snapshot().is_old


def some_minutes_of(ready: list[int], *, done: int) -> None:
    """Write what the sampler would have: the ready jobs of each step of ten seconds, the newest last."""
    step = int(time.time() // 10) * 10
    rows = []
    for position, depth in enumerate(ready):
        at = step - 10 * (len(ready) - position)
        for product, queue in (("shop", "emails"), ("shop", ""), ("", "")):
            rows.append(
                QueueRollup(
                    job_model="pleme_redis_django.job",
                    step_seconds=10,
                    started_at=at,
                    product=product,
                    queue_name=queue,
                    completed=done,
                    ready=depth,
                )
            )
    QueueRollup.objects.bulk_create(rows)


def make_ready(count: int) -> None:
    make_jobs(count, product="shop", queue_name="emails")


def test_a_backlog_that_grows_is_said_to_grow() -> None:
    some_minutes_of([100 * number for number in range(13)], done=100)
    make_ready(1_300)
    measure_now()
    [queue] = snapshot().queues
    assert queue.growth_per_minute == pytest.approx(600, rel=0.15)
    # Ten minutes ago there was nothing yet: what ended since is the pace.
    assert queue.done_per_minute == pytest.approx(600, rel=0.15)
    assert queue.clears_in_seconds is None


def test_a_backlog_that_shrinks_is_through_at_its_net_pace() -> None:
    some_minutes_of([1_400 - 10 * number for number in range(13)], done=100)
    make_ready(1_270)
    measure_now()
    [queue] = snapshot().queues
    # 600 a minute are done and 540 come: what counts is the difference.
    assert queue.clears_in_seconds == pytest.approx(60 * 1_270 / 60, rel=0.2)


def test_a_burst_of_a_moment_ago_is_no_growth() -> None:
    some_minutes_of([0] * 6 + [900, 800, 700, 600, 500, 400, 300], done=100)
    make_ready(200)
    measure_now()
    [queue] = snapshot().queues
    assert queue.growth_per_minute == 0
    assert queue.clears_in_seconds == pytest.approx(20, rel=0.2)
