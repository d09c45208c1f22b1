"""Where jobs are let in that were due before: there a claim may not stay away from the head for long."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.db import connection

from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import FullGate, Job
from pleme_redis_django.operations import set_limit
from pleme_redis_django.orm_store import OrmJobStore
from tests.database_sessions import another_session
from tests.orm_store.claimed_jobs import completed
from tests.orm_store.flow import jobs
from tests.rows import make_job

pytestmark = pytest.mark.django_db(transaction=True)  # A turn comes with the commit.


def run_one(store: OrmJobStore[Job]) -> None:
    (one,) = store.claim_jobs(str(uuid4()), 1, JobSelection())
    store.finish_jobs([completed(one)])
    store.release_after([one])


def test_nobody_is_let_in_without_limits_and_orders() -> None:
    store = OrmJobStore(Job)
    jobs.step.enqueue()
    run_one(store)
    assert not store._flow.lets_in()


def test_jobs_are_let_in_where_there_is_a_limit() -> None:
    set_limit("key", "api", max_running=1)
    store = OrmJobStore(Job)
    jobs.step.enqueue()
    run_one(store)
    assert store._flow.lets_in()


def test_jobs_are_let_in_where_one_of_a_line_is_claimed() -> None:
    store = OrmJobStore(Job)
    jobs.step.using(order_key="order:1").enqueue()
    assert len(store.claim_jobs(str(uuid4()), 1, JobSelection())) == 1
    assert store._flow.lets_in()


def test_jobs_are_let_in_where_one_of_a_line_has_run() -> None:
    store = OrmJobStore(Job)
    jobs.step.using(order_key="a").enqueue()
    run_one(store)
    assert store._flow.lets_in()


def test_whoever_a_sweep_lets_in_is_told_of_where_what_is_for_people_cannot_be_written() -> None:
    set_limit("key", "api", max_running=1)
    store = OrmJobStore(Job)
    for _ in range(2):
        make_job(status="BLOCKED", blocked_on="k:default:api", concurrency_key="api")
    assert store.release_overlooked() == [], "others may be about to look"
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '50ms'")
        with another_session(f"LOCK TABLE {FullGate._meta.db_table} IN ACCESS EXCLUSIVE MODE"):
            assert store.release_overlooked() == ["default"]
    finally:
        connection.close()
