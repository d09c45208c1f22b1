"""drain_jobs() with limits and orders: inside a test's transaction, whose end no step waits for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db.models import F

from pleme_redis_django import Job, Limit, Rate, job
from pleme_redis_django.models import FlowGate
from pleme_redis_django.operations import set_limit
from pleme_redis_django.testing import adrain_jobs, drain_jobs
from tests.rows import make_job, make_worker

pytestmark = pytest.mark.django_db(databases=["default", "sqlite"])
ran: list[Any] = []


@job(limits=Limit(1, key=lambda customer: customer, name="drained"), name="tests.drained_limited")
def limited(customer: str, number: int) -> None:
    ran.append((customer, number))
    assert Job.objects.using(Job.objects.db).filter(status="RUNNING").count() <= 1


@job(limits=Limit(1, key=lambda customer: customer, name="drained"), name="tests.drained_async")
async def limited_async(customer: str, number: int) -> None:
    ran.append((customer, number))


@job(limits=Limit(1, key=lambda line: line, in_order=True), name="tests.drained_in_order", max_retries=1)
def in_order(line: str, number: int) -> None:
    ran.append((line, number))


@job(limits=Rate(1, per_seconds=3600, burst=2, key="drained rate"), name="tests.drained_by_rate")
def by_rate(number: int) -> None:
    ran.append(number)


@job(limits=Limit(1, key="drained line", in_order=True), name="tests.drained_fails_once", max_retries=1)
def fails_once(number: int) -> None:
    ran.append(number)
    if ran == [0]:
        raise RuntimeError("the first attempt fails")


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


@pytest.fixture(params=["default", "sqlite"])
def using(request: pytest.FixtureRequest, settings: Any) -> str:
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "DATABASE": request.param}
    return str(request.param)


def test_all_jobs_behind_a_limit_run(using: str) -> None:
    limited.enqueue_many({"customer": "a", "number": number} for number in range(5))
    limited_async.enqueue_many({"customer": "a", "number": number} for number in range(5, 8))
    assert len(drain_jobs().completed) == 8
    assert [number for _customer, number in ran] == list(range(8))


@pytest.mark.django_db(transaction=True)
async def test_the_async_twin_keeps_them_too() -> None:
    await sync_to_async(limited_async.enqueue_many)(
        {"customer": "a", "number": number} for number in range(3)
    )
    assert len((await adrain_jobs()).completed) == 3


def test_a_line_runs_in_order(using: str) -> None:
    in_order.enqueue_many({"line": line, "number": number} for number in range(3) for line in ("a", "b"))
    assert len(drain_jobs().completed) == 6
    assert [number for line, number in ran if line == "a"] == [0, 1, 2]


def test_what_waits_behind_a_pause_stays(using: str) -> None:
    set_limit("key", "drained", max_running=0, using=using)
    limited.enqueue("a", 1)
    assert len(drain_jobs()) == 0
    assert Job.objects.using(using).get().status == "BLOCKED"
    set_limit("key", "drained", max_running=1, using=using)
    assert len(drain_jobs().completed) == 1


def test_as_many_run_as_there_are_tokens_and_the_others_at_a_later_drain(using: str) -> None:
    by_rate.enqueue_many({"number": number} for number in range(5))
    assert len(drain_jobs().completed) == 2
    assert Job.objects.using(using).filter(status="BLOCKED").count() == 3
    assert len(drain_jobs()) == 0
    hour = timedelta(hours=1)
    FlowGate.objects.using(using).update(
        full_again_at=F("full_again_at") - hour, release_at=F("release_at") - hour, let_at=F("let_at") - hour
    )
    assert len(drain_jobs().completed) == 1
    assert ran == [0, 1, 2]


def test_what_waits_for_a_place_that_a_worker_process_holds_stays(using: str) -> None:
    holder = make_job(using, status="RUNNING", concurrency_key="drained:a", worker_id=make_worker(using).pk)
    limited.enqueue_many({"customer": "a", "number": number} for number in range(2))
    assert len(drain_jobs()) == 0 and ran == []
    assert Job.objects.using(using).filter(status="BLOCKED").count() == 2
    Job.objects.using(using).filter(pk=holder.pk).update(status="COMPLETED")
    assert len(drain_jobs().completed) == 2


def test_a_line_stays_behind_a_head_that_waits_for_its_retry(using: str) -> None:
    fails_once.enqueue_many({"number": number} for number in range(3))
    assert [type(attempt.ending).__name__ for attempt in drain_jobs()] == ["Retried"]
    assert len(drain_jobs()) == 0 and ran == [0]
    rows = Job.objects.using(using).order_by("id")
    assert list(rows.values_list("status", flat=True)) == ["PENDING", "BLOCKED", "BLOCKED"]
    assert len(drain_jobs(with_retries=True).completed) == 3
    assert ran == [0, 0, 1, 2]
