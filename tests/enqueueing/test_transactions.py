"""Enqueueing is transactional: the row belongs to the caller's transaction, the hint to its commit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from pleme_redis_django import JobQueue, enqueue, signals
from pleme_redis_django.exceptions import WrongTransaction
from pleme_redis_django.models import Job
from tests.enqueueing import jobs

WAYS: dict[str, Callable[[], Any]] = {
    "one": lambda: jobs.send.enqueue("a"),
    "many": lambda: jobs.send.enqueue_many([{"to": "a"}, {"to": "b"}]),
    "unique": lambda: jobs.unique_running.using(queue_name="email").enqueue(1),
    "instance": lambda: enqueue(Job(job_type=jobs.send.name, parameters={"to": "a"}, queue_name="email")),
}


class Undo(Exception):
    """Rolls a transaction back."""


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Callable[[], Any]:
    return WAYS[request.param]


def hints() -> int:
    return JobQueue("email").stats().length


@pytest.mark.django_db(transaction=True)
def test_outside_a_transaction_the_hint_follows_at_once(way: Callable[[], Any]) -> None:
    way()
    assert Job.objects.exists()
    assert hints() >= 1


@pytest.mark.django_db(transaction=True)
def test_inside_a_transaction_the_hint_waits_for_the_commit(way: Callable[[], Any]) -> None:
    with transaction.atomic():
        way()
        assert Job.objects.exists()
        assert hints() == 0
    assert hints() >= 1


@pytest.mark.django_db(transaction=True)
def test_a_hint_that_fails_after_the_commit_has_a_name_in_the_log(way: Callable[[], Any]) -> None:
    with transaction.atomic():
        way()
        jobs.unique_waiting.enqueue(1)
        jobs.unique_waiting.enqueue(1)  # kept out by the first one, which is hinted at again
        robust = [call for _savepoints, call, is_robust in connection.run_on_commit if is_robust]
        assert len(robust) == 3
        assert all(isinstance(call.__qualname__, str) for call in robust)  # Django logs it


@pytest.mark.django_db(transaction=True)
def test_a_rollback_takes_job_and_hint_with_it(way: Callable[[], Any]) -> None:
    with pytest.raises(Undo), transaction.atomic():
        way()
        raise Undo
    assert not Job.objects.exists()
    assert hints() == 0


@pytest.mark.django_db(transaction=True)
def test_a_rollback_to_a_savepoint_takes_only_what_was_after_it(way: Callable[[], Any]) -> None:
    with transaction.atomic():
        jobs.send.enqueue("before")
        with pytest.raises(Undo), transaction.atomic():
            way()
            raise Undo
    assert [job.parameters for job in Job.objects.all()] == [{"to": "before"}]
    assert hints() == 1


@pytest.mark.django_db(databases=["default", "sqlite"])
def test_a_test_case_of_two_databases_is_told_too(way: Callable[[], Any]) -> None:
    """Its own transactions are on both; only those that the code under test opens count."""
    way()
    with transaction.atomic(using="sqlite"), transaction.atomic():
        way()
    with transaction.atomic(using="sqlite"), pytest.raises(WrongTransaction):
        way()


@pytest.mark.django_db(transaction=True, databases=["default", "sqlite"])
def test_inside_another_databases_transaction_it_is_refused(way: Callable[[], Any]) -> None:
    with transaction.atomic(using="sqlite"), pytest.raises(WrongTransaction) as error:
        way()
    for word in ('"default"', '"sqlite"', "transaction.on_commit(..., using='sqlite')"):
        assert word in str(error.value)
    assert not Job.objects.exists()


@pytest.mark.django_db(transaction=True, databases=["default", "sqlite"])
def test_inside_transactions_of_both_databases_it_is_stored(way: Callable[[], Any]) -> None:
    with transaction.atomic(using="sqlite"), transaction.atomic():
        way()
    assert Job.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_refused_enqueue_leaves_the_transaction_usable() -> None:
    with transaction.atomic():
        jobs.send.enqueue("first")
        with pytest.raises(ValueError, match="refused"):
            _refuse()
        jobs.send.enqueue("second")
    assert Job.objects.count() == 2


def _refuse() -> None:
    from pleme_redis_django import InvalidParameters

    try:
        jobs.anything.enqueue(field=float("nan"))
    except InvalidParameters as error:
        raise ValueError(str(error)) from None


@pytest.mark.django_db(transaction=True)
def test_jobs_enqueued_is_sent_after_the_commit_with_what_was_stored() -> None:
    received: list[list[Any]] = []

    def receive(jobs: Any, **_kwargs: Any) -> None:
        received.append(list(jobs))

    signals.jobs_enqueued.connect(receive)
    try:
        with transaction.atomic():
            stored = jobs.send.enqueue_many([{"to": "a"}, {"to": "b"}])
            assert received == []
        assert received == [list(stored)]
    finally:
        signals.jobs_enqueued.disconnect(receive)


@pytest.mark.django_db(transaction=True)
def test_a_unique_job_that_was_there_is_not_told_as_enqueued() -> None:
    received: list[Any] = []

    def receive(jobs: Any, **_kwargs: Any) -> None:
        received.extend(jobs)

    first = jobs.unique_running.enqueue(1)
    signals.jobs_enqueued.connect(receive)
    try:
        assert jobs.unique_running.enqueue(1) == first
        assert received == []
        _first, second = jobs.unique_running.enqueue_many([{"key": 1}, {"key": 2}])
        assert received == [second]
    finally:
        signals.jobs_enqueued.disconnect(receive)


@pytest.mark.django_db(transaction=True)
def test_a_receiver_that_fails_changes_nothing() -> None:
    def receive(**_kwargs: Any) -> None:
        raise RuntimeError("a receiver's own fault")

    signals.jobs_enqueued.connect(receive)
    try:
        jobs.send.enqueue("a")
    finally:
        signals.jobs_enqueued.disconnect(receive)
    assert Job.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("ways", "statements"), [("one", 1), ("many", 1)])
def test_what_an_enqueue_costs(ways: str, statements: int) -> None:
    with CaptureQueriesContext(connection) as queries:
        WAYS[ways]()
    assert len(queries) == statements, [query["sql"][:80] for query in queries]


@pytest.mark.django_db(transaction=True)
def test_thousands_of_jobs_cost_a_statement_per_2000() -> None:
    with CaptureQueriesContext(connection) as queries:
        jobs.send.enqueue_many({"to": "a"} for _ in range(6_000))
    inserts = [query for query in queries if "INSERT" in query["sql"]]
    assert len(inserts) == 3


@pytest.mark.django_db(transaction=True, databases=["default", "sqlite"])
def test_on_sqlite_it_is_stored_the_same(settings: Any) -> None:
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "DATABASE": "sqlite"}
    jobs.send.enqueue("a")
    jobs.send.enqueue_many([{"to": "b"}, {"to": "c"}])
    jobs.unique_running.using(metadata={"order": 1}).enqueue(1)
    jobs.unique_running.using(metadata={"order": 1}).enqueue(1)
    assert not Job.objects.using("default").exists()
    found = Job.objects.using("sqlite").order_by("created_at", "id")
    assert [job.parameters for job in found] == [{"to": "a"}, {"to": "b"}, {"to": "c"}, {"key": 1}]
    assert [job.metadata for job in found] == [{}, {}, {}, {"order": 1}]
    assert connections["sqlite"].vendor == "sqlite"
