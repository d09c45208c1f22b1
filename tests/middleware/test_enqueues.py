"""Enqueues go through their middleware: what it sees, what it may change, and what becomes of one that is wrong."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.db import connection

from pleme_redis_django import enqueue
from pleme_redis_django.exceptions import BrokenMiddleware, EnqueueError, InvalidParameters, InvalidProduct
from pleme_redis_django.models import Job
from tests.middleware import classes
from tests.middleware.conftest import UseMiddleware
from tests.workload import tasks
from tests.workload.jobs import add
from tests.workload.typed_jobs import close_day

pytestmark = pytest.mark.django_db


def test_the_first_is_the_outermost(use: UseMiddleware, seen: list[Any]) -> None:
    use(classes.Outer, classes.Inner)
    add.enqueue(1, 2)
    assert seen == ["outer enqueues", "inner enqueues", "inner has enqueued", "outer has enqueued"]


def test_parameters_metadata_and_headers_can_be_changed(use: UseMiddleware) -> None:
    use(classes.Changing)
    returned = add.using(metadata={"order": 7}).enqueue(1, 2)
    job = Job.objects.get()
    assert returned.parameters == job.parameters == {"left": 2, "right": 2}
    assert job.metadata == {"order": 7, "shop": "north"}
    assert (job.queue_name, job.priority, job.product, job.max_retries) == ("mail", 7, "lilith", 1)
    assert (returned.queue_name, returned.priority, returned.product) == ("mail", 7, "lilith")


def test_metadata_can_be_changed_where_they_are(use: UseMiddleware) -> None:
    use(classes.ChangesDeepMetadata)
    returned = add.using(metadata={"order": {"id": 7}}).enqueue(1, 2)
    assert Job.objects.get().metadata == {"order": {"id": 7, "seen": True}}
    assert returned.metadata == {"order": {"id": 7, "seen": True}}


def test_a_value_that_equals_the_one_before_is_checked_too(use: UseMiddleware) -> None:
    use(classes.SaysPriorityAsTruth)
    with pytest.raises(EnqueueError, match="priority is True"):
        add.using(priority=1).enqueue(1, 2)
    assert not Job.objects.exists()


def test_what_it_changes_is_checked_against_the_annotations(use: UseMiddleware) -> None:
    use(classes.NextDay)
    job = close_day.enqueue(date(2026, 1, 31), set())
    assert job.parameters == {"day": "2026-02-01", "kinds": []}
    use(classes.NoDay)
    with pytest.raises(InvalidParameters, match="the stored day is 'tomorrow'"):
        close_day.enqueue(date(2026, 1, 31), set())


def test_each_job_of_enqueue_many_goes_through_it(use: UseMiddleware, seen: list[Any]) -> None:
    use(classes.Outer, classes.ShopOfTheParameters)
    jobs = add.enqueue_many({"left": number, "right": 0} for number in range(5))
    assert seen.count("outer enqueues") == 5
    assert [job.parameters["left"] for job in jobs] == [0, 1, 2, 3, 4]
    assert [job.metadata["parity"] for job in jobs] == [0, 1, 0, 1, 0]
    assert add.enqueue_many([]) == []


def test_jobs_of_one_call_with_equal_metadata_are_inserted_by_one_statement(
    use: UseMiddleware, django_assert_num_queries: Any
) -> None:
    use(classes.Nothing)
    with django_assert_num_queries(1):
        add.enqueue_many({"left": number, "right": 0} for number in range(100))


@pytest.mark.django_db(transaction=True)
def test_all_jobs_of_a_call_are_stored_or_none(use: UseMiddleware, seen: list[Any]) -> None:
    use(classes.ShopOfTheParameters)
    with pytest.raises(InvalidParameters):
        add.enqueue_many([{"left": 1, "right": 0}, {"left": 2, "right": object()}])
    assert not Job.objects.exists()


@pytest.mark.django_db(transaction=True)
async def test_the_async_twins_go_through_it(use: UseMiddleware, seen: list[Any]) -> None:
    use(classes.Outer, classes.AsyncEnqueue)
    await add.aenqueue(1, 2)
    await add.aenqueue_many([{"left": 1, "right": 2}])
    assert seen.count("outer has enqueued") == 2
    assert [job.metadata async for job in Job.objects.all()] == [{"asynchronous": True}] * 2


def test_an_async_enqueue_serves_sync_callers_in_their_transaction(use: UseMiddleware) -> None:
    use(classes.AsyncEnqueue, classes.Inner)
    job = add.enqueue(1, 2)
    assert connection.in_atomic_block
    assert Job.objects.get() == job
    assert job.metadata == {"asynchronous": True}


def test_an_async_enqueue_that_does_not_await_has_not_called_on(use: UseMiddleware) -> None:
    use(classes.AsyncEnqueueWithoutAwait)
    with pytest.raises(BrokenMiddleware, match=r"AsyncEnqueueWithoutAwait\.enqueue\(\) returned without"):
        add.enqueue(1, 2)


def test_tasks_and_names_and_instances_go_through_it(use: UseMiddleware, seen: list[Any]) -> None:
    use(classes.Outer)
    tasks.add.enqueue(1, right=2)
    enqueue("tests.workload.jobs.add", 1, 2)
    enqueue(Job(job_type="tests.noop"))
    assert seen.count("outer has enqueued") == 3


def test_an_instance_can_be_changed(use: UseMiddleware) -> None:
    use(classes.Changing)
    enqueue(Job(job_type="tests.noop", parameters={"left": 1}, metadata={"order": 7}))
    job = Job.objects.get()
    assert (job.parameters, job.metadata) == ({"left": 2}, {"order": 7, "shop": "north"})
    assert (job.queue_name, job.priority, job.product, job.max_retries) == ("mail", 7, "lilith", 1)


def test_a_unique_key_can_be_given(use: UseMiddleware, seen: list[Any]) -> None:
    use(classes.KeyOfTheLeft)
    pairs = [{"left": 1, "right": 1}, {"left": 1, "right": 2}, {"left": 2, "right": 1}]
    first, second, third = add.enqueue_many(pairs)
    assert first == second != third
    assert seen == [False] * 3
    assert add.enqueue(1, 5) == first


def test_what_the_row_holds_can_be_sealed(use: UseMiddleware) -> None:
    use(classes.Seals, classes.Changing)
    job = add.enqueue(1, 2)
    assert Job.objects.get().parameters == job.parameters == {"sealed": True}


def test_sealed_parameters_are_still_checked(use: UseMiddleware) -> None:
    use(classes.Seals, classes.WrongParameters)
    with pytest.raises(InvalidParameters, match="lefty"):
        add.enqueue(1, 2)
    use(classes.Seals, classes.ParametersThatAreNoJson)
    with pytest.raises(InvalidParameters, match="left"):
        add.enqueue(1, 2)


def test_parameters_changed_after_they_were_sealed_are_refused(use: UseMiddleware) -> None:
    for kinds in ((classes.ChangesLate, classes.Seals), (classes.SealsTooEarly, classes.Changing)):
        use(*kinds)
        with pytest.raises(BrokenMiddleware, match=r'first in PLEME_REDIS\["MIDDLEWARE"\]'):
            add.enqueue(1, 2)


def test_what_it_raises_is_the_callers_and_nothing_is_stored(use: UseMiddleware) -> None:
    use(classes.Outer, classes.RefusesEnqueues)
    for refused in (lambda: add.enqueue(1, 2), lambda: add.enqueue_many([{"left": 1, "right": 2}])):
        with pytest.raises(PermissionError, match="not from here"):
            refused()
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (classes.ForgetsEnqueue, r"ForgetsEnqueue\.enqueue\(\) returned without call_next"),
        (classes.ReturnsNothing, "came out of its middleware as None"),
        (classes.EnqueuesTwice, r"EnqueuesTwice\.enqueue\(\) called call_next a second time"),
        (classes.PassesNone, r"PassesNone\.enqueue\(\) called call_next with a NoneType"),
        (classes.ChangesTheType, "'job_type' cannot be changed"),
    ],
)
def test_one_that_is_wrong_is_named(use: UseMiddleware, kind: type, why: str) -> None:
    use(classes.Nothing, kind, classes.Inner)
    with pytest.raises(BrokenMiddleware, match=why):
        add.enqueue(1, 2)
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (classes.WrongParameters, InvalidParameters),
        (classes.ParametersThatAreNoJson, InvalidParameters),
        (classes.ParametersThatAreNoDict, InvalidParameters),
        (classes.MetadataThatAreNoJson, InvalidParameters),
        (classes.WrongProduct, InvalidProduct),
        (classes.WritesInPlace, TypeError),
    ],
)
def test_what_it_changes_is_checked(use: UseMiddleware, kind: type, error: type[Exception]) -> None:
    use(kind)
    with pytest.raises(error):
        add.enqueue(1, 2)
    assert not Job.objects.exists()
