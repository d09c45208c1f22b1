"""The snapshot: every number is what plain SQL says, for the products of the scope alone."""

from __future__ import annotations

import json

import pytest
from django.db import connection

from pleme_redis_django.dashboard.scope import ProductScope
from pleme_redis_django.dashboard.snapshot import snapshot
from pleme_redis_django.jobs.job import JobStatus
from tests.rows import ago, make_failed_job, make_job, make_worker

pytestmark = pytest.mark.django_db

SHOP = ProductScope(products=frozenset({"shop"}))


def some_jobs() -> None:
    """Two products, every status; deleted jobs and a suspect among them."""
    for product in ("shop", "blog"):
        make_job(product=product, queue_name="emails", run_after=ago(400))
        make_job(product=product, queue_name="emails", run_after=ago(90), crash_count=1)
        make_job(product=product, queue_name="emails", run_after=ago(9_000), deleted_at=ago(1))
        make_job(product=product, queue_name="images", status=JobStatus.PENDING, run_after=ago(-60))
        make_job(product=product, queue_name="images", status=JobStatus.RUNNING)
        make_job(product=product, status=JobStatus.COMPLETED)
        make_failed_job(product=product, error_fingerprint=product)


def sql(statement: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def test_depths_are_what_sql_counts() -> None:
    some_jobs()
    taken = snapshot()
    expected = sql(
        """SELECT product, queue_name, count(*) FILTER (WHERE status = 'QUEUED'),
            count(*) FILTER (WHERE status = 'PENDING'), count(*) FILTER (WHERE status = 'RUNNING')
        FROM pleme_redis_django_job
        WHERE deleted_at IS NULL AND status IN ('QUEUED', 'PENDING', 'RUNNING') GROUP BY 1, 2"""
    )
    found = [(one.product, one.queue, one.ready, one.pending, one.running) for one in taken.queues]
    assert sorted(found) == sorted(expected)
    assert taken.cards.oldest_ready_seconds == pytest.approx(400, abs=20)
    assert (taken.cards.ready, taken.cards.pending, taken.cards.running) == (4, 2, 2)


def test_a_scope_sees_its_products_alone() -> None:
    some_jobs()
    make_worker(product="shop")
    make_worker(product="blog")
    make_worker()
    taken = snapshot(SHOP)
    assert {one.product for one in taken.queues} == {"shop"}
    assert (taken.cards.ready, taken.cards.pending, taken.cards.running) == (2, 1, 1)
    assert {one.product for one in taken.workers} == {"shop", ""}
    assert [one.fingerprint for one in taken.failures] == ["shop"]
    assert "blog" not in json.dumps(taken.as_json())


def test_the_payload_is_json_with_the_documented_keys() -> None:
    some_jobs()
    make_worker(queues=["emails"], release="1.2")
    payload = json.loads(json.dumps(snapshot().as_json()))
    assert payload.keys() >= {"at", "sampled_at", "health", "cards", "queues", "workers", "failures"}
    assert (
        payload["workers"][0] | {"queues": ["emails"], "release": "1.2", "state": "alive"}
        == (payload["workers"][0])
    )
    assert payload["health"]["level"] == "warning"
