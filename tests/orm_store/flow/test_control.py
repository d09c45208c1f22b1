"""Where jobs are let in that were due before: there a claim may not stay away from the head for long."""

from __future__ import annotations

from uuid import uuid4

import pytest

from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import Job
from pleme_redis_django.operations import set_limit
from pleme_redis_django.orm_store import OrmJobStore
from tests.orm_store.claimed_jobs import completed
from tests.orm_store.flow import jobs

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
