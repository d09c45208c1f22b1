"""Turns through the store and the enqueue: jobs of an order key run one after the other, in order."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from pleme_redis_django import enqueue
from pleme_redis_django.jobs.interface.endings import Cancelled, Ending, Failed, GivenBack, Retried, Snoozed
from pleme_redis_django.jobs.interface.failures import engine_failure
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import Job, JobStatus
from pleme_redis_django.models.indexes import TURN_CONDITION
from pleme_redis_django.operations import change_priority
from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.orm_store.flow.lines import Line
from tests.orm_store.claimed_jobs import completed, statements
from tests.orm_store.flow import jobs
from tests.rows import ago, make_job

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sqlite"])

LINE = Line("default", "order:1")
FAILURE = engine_failure("test", "as the test asked", "test")
ALL = JobSelection()

step = jobs.step.using(order_key=LINE.order_key)


@pytest.fixture(params=["default", "sqlite"])
def store(request: pytest.FixtureRequest, settings: Any) -> OrmJobStore[Job]:
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "DATABASE": request.param}
    return OrmJobStore(Job, using=request.param)


def claim(store: OrmJobStore[Job], limit: int = 100) -> list[Job]:
    return list(store.claim_jobs(str(uuid4()), limit, ALL))


def end(store: OrmJobStore[Job], one: Job, kind: type[Ending] | None = None, **fields: Any) -> None:
    assert one.claim is not None
    ending: Any = completed(one) if kind is None else kind(job_id=one.id, claim=one.claim, **fields)
    assert list(store.finish_jobs([ending])) == [True]
    store.release_after([one])


def run_all(store: OrmJobStore[Job]) -> list[Any]:
    """Run what is ready until nothing is; return the numbers in the order of their starts."""
    order: list[Any] = []
    while ready := claim(store):
        for one in ready:
            order.append(one.parameters["number"])
            end(store, one)
    return order


def statuses(store: OrmJobStore[Job]) -> dict[str, int]:
    rows = Job.objects.using(store.using)
    return {
        status: rows.filter(status=status).count() for status in set(rows.values_list("status", flat=True))
    }


def test_jobs_of_a_key_run_one_after_the_other_in_the_order_of_their_enqueues(
    store: OrmJobStore[Job],
) -> None:
    for number in range(3):
        step.enqueue(number=number)
    step.enqueue_many([{"number": number} for number in range(3, 10)])
    (first,) = claim(store)
    assert claim(store) == []
    end(store, first)
    assert [0, *run_all(store)] == list(range(10))


def test_each_key_has_a_line_of_its_own_and_jobs_without_one_pass_by(store: OrmJobStore[Job]) -> None:
    for key in ("a", "b", "c"):
        jobs.step.using(order_key=key).enqueue_many([{"number": number} for number in range(2)])
    jobs.step.enqueue_many([{"number": 100}] * 4)
    assert sorted(one.parameters["number"] for one in claim(store)) == [0, 0, 0, 100, 100, 100, 100]


def test_order_key_of_two_products_is_two_lines(store: OrmJobStore[Job]) -> None:
    step.using(product="acme").enqueue(number=1)
    step.using(product="globex").enqueue(number=2)
    assert len(claim(store)) == 2


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (Retried, {"failure": FAILURE, "retry_count": 1, "delay_seconds": 60}),
        (Snoozed, {"retry_count": 0, "delay_seconds": 60}),
        (GivenBack, {"delay_seconds": 60}),
        (GivenBack, {}),
    ],
    ids=["retried", "snoozed", "given back with a delay", "given back"],
)
def test_head_that_runs_again_keeps_its_turn(
    store: OrmJobStore[Job], kind: type[Ending], fields: dict[str, Any]
) -> None:
    step.enqueue_many([{"number": 0}, {"number": 1}])
    (head,) = claim(store)
    end(store, head, kind, **fields)
    Job.objects.using(store.using).filter(status=JobStatus.PENDING).update(run_after=Now())
    store.promote_due_jobs(100)
    (again,) = claim(store)
    assert (again.id, again.attempt) == (head.id, 2)
    end(store, again)
    assert run_all(store) == [1]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [(Failed, {"failure": FAILURE}), (Cancelled, {"failure": FAILURE})],
    ids=["failed", "cancelled"],
)
def test_head_that_has_ended_frees_its_line(
    store: OrmJobStore[Job], kind: type[Ending], fields: dict[str, Any]
) -> None:
    step.enqueue_many([{"number": 0}, {"number": 1}])
    (head,) = claim(store)
    end(store, head, kind, **fields)
    assert run_all(store) == [1]


def test_job_of_a_line_that_gets_another_priority_comes_next_behind_the_head(store: OrmJobStore[Job]) -> None:
    step.enqueue_many([{"number": number} for number in range(4)])
    (head,) = claim(store)
    last = Job.objects.using(store.using).filter(parameters__number=3)
    assert change_priority(last, 5) == 1
    assert claim(store) == []
    end(store, head)
    assert run_all(store) == [3, 1, 2]


def test_scheduled_job_goes_into_its_line_when_it_is_due(store: OrmJobStore[Job]) -> None:
    step.enqueue(number=0)
    later = step.using(run_after=timezone.now() + timedelta(hours=1)).enqueue(number=1)
    step.enqueue(number=2)
    assert statuses(store) == {JobStatus.QUEUED: 1, JobStatus.PENDING: 1, JobStatus.BLOCKED: 1}
    Job.objects.using(store.using).filter(pk=later.pk).update(run_after=Now())
    assert store.promote_due_jobs(100) == 1
    assert statuses(store) == {JobStatus.QUEUED: 1, JobStatus.BLOCKED: 2}
    assert run_all(store) == [0, 2, 1]


def test_due_jobs_of_a_free_line_are_ready_at_once(store: OrmJobStore[Job]) -> None:
    due = {"status": JobStatus.PENDING, "run_after": ago(5), "order_key": "a", "parameters": {"number": 1}}
    for _ in range(3):
        make_job(store.using, **due)
    assert store.promote_due_jobs(100) == 3
    assert statuses(store) == {JobStatus.QUEUED: 1, JobStatus.BLOCKED: 2}


def test_head_whose_deadline_is_over_frees_its_line(store: OrmJobStore[Job]) -> None:
    step.enqueue_many([{"number": 0}, {"number": 1}])
    head = Job.objects.using(store.using).get(status=JobStatus.QUEUED)
    Job.objects.using(store.using).filter(pk=head.pk).update(expires_at=ago(1))
    assert store.end_expired_jobs(100) == 1
    assert run_all(store) == [1]


def test_line_behind_a_head_that_is_gone_is_swept(store: OrmJobStore[Job]) -> None:
    """A process that dies between an ending and the look at the line, or a row that is deleted by hand."""
    step.enqueue_many([{"number": 0}, {"number": 1}, {"number": 2}])
    Job.objects.using(store.using).filter(status=JobStatus.QUEUED).delete()
    assert claim(store) == []
    assert store.release_overlooked() == [], "whoever ended the head may be about to look"
    assert store.release_overlooked() == ["default"]
    assert store.release_overlooked() == []
    assert run_all(store) == [1, 2]


def test_enqueue_that_is_rolled_back_takes_no_turn(store: OrmJobStore[Job]) -> None:
    with transaction.atomic(using=store.using):
        step.enqueue(number=0)
        transaction.set_rollback(True, using=store.using)
    step.enqueue(number=1)
    assert run_all(store) == [1]


def test_turn_is_given_after_the_commit_alone(store: OrmJobStore[Job]) -> None:
    with transaction.atomic(using=store.using):
        step.enqueue(number=0)
        assert statuses(store) == {JobStatus.BLOCKED: 1}
    assert statuses(store) == {JobStatus.QUEUED: 1}


def test_instance_of_a_model_goes_into_its_line(store: OrmJobStore[Job]) -> None:
    for number in range(2):
        parameters = {"number": number}
        enqueue(Job(job_type="tests.noop", product="default", order_key="a", parameters=parameters))
    assert statuses(store) == {JobStatus.QUEUED: 1, JobStatus.BLOCKED: 1}


def test_unique_job_that_is_enqueued_again_keeps_one_turn(store: OrmJobStore[Job]) -> None:
    once = step.using(unique_key="once")
    for _ in range(3):
        once.enqueue(number=0)
    once.using(on_conflict="replace").enqueue(number=7)
    step.enqueue(number=1)
    assert run_all(store) == [7, 1]


def test_unique_job_that_is_put_off_leaves_its_turn_to_the_next(store: OrmJobStore[Job]) -> None:
    once = step.using(unique_key="once")
    once.enqueue(number=0)
    step.enqueue(number=1)
    once.using(on_conflict="replace", run_after=timezone.now() + timedelta(hours=1)).enqueue(number=0)
    assert run_all(store) == [1]


@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_to_a_line_one_has_its_turn_and_nobody_is_lost(
    store: OrmJobStore[Job], seed: int
) -> None:
    """Ends of every kind at random; the numbers that complete come in the order of the line."""
    chosen = random.Random(seed)
    step.enqueue_many([{"number": number} for number in range(12)])
    started: list[int] = []
    rows = Job.objects.using(store.using)
    while ready := claim(store):
        (one,) = ready
        assert rows.filter(TURN_CONDITION, order_key=LINE.order_key).count() == 1
        started.append(one.parameters["number"])
        kind: Any = chosen.choice([None, None, Failed, Cancelled, Retried, Snoozed, GivenBack])
        again = {"retry_count": one.retry_count + (kind is Retried), "delay_seconds": 30}
        with_failure = {"failure": FAILURE} if kind in (Failed, Cancelled, Retried) else {}
        end(store, one, kind, **with_failure, **(again if kind in (Retried, Snoozed) else {}))
        rows.filter(status=JobStatus.PENDING).update(run_after=Now())
        store.promote_due_jobs(100)
    assert started == sorted(started)
    assert set(started) == set(range(12))


@pytest.mark.parametrize("store", ["default"], indirect=True)
def test_enqueue_without_a_key_asks_for_no_turn(store: OrmJobStore[Job]) -> None:
    jobs.step.enqueue()
    assert statements(store.using, jobs.step.enqueue) == 1
    assert statements(store.using, step.enqueue) == 2
