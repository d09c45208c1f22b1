"""What an enqueue does to an equal job that waits: keep, replace, extend; against claims, on both databases."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, connections, transaction

from pleme_redis_django import JobQueue, JobStatus, once_per
from pleme_redis_django.exceptions import EnqueueError, InvalidJobDefinition
from pleme_redis_django.jobs.definitions.declaring import definition_of
from pleme_redis_django.jobs.interface.endings import Retried
from pleme_redis_django.jobs.interface.failures import engine_failure
from pleme_redis_django.models import Job
from pleme_redis_django.orm_store import OrmJobStore
from tests.enqueueing.jobs import debounced, send, unique_running, unique_waiting
from tests.rows import make_job
from tests.waiting import wait_until

ALIASES = ["default", "sqlite"]
LATER = datetime(2099, 1, 1, tzinfo=UTC)

in_one_thread = pytest.mark.django_db(databases=ALIASES)


@pytest.fixture(params=ALIASES)
def alias(request: pytest.FixtureRequest, settings: Any) -> str:
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "DATABASE": request.param}
    return str(request.param)


@pytest.fixture
def store(alias: str) -> OrmJobStore[Job]:
    return OrmJobStore(Job, using=alias)


def only_row(alias: str) -> Job:
    return Job.objects.using(alias).get()


def is_somebody_waiting_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        return bool(cursor.fetchone()[0])


@in_one_thread
def test_the_last_call_wins(alias: str) -> None:
    first = debounced.using(unique_key="index", run_after=LATER).enqueue(page=1)
    again = debounced.using(unique_key="index").enqueue(page=2)
    row = only_row(alias)
    assert (again.id, again.is_new, first.is_new) == (first.id, False, True)
    assert (row.parameters, row.status) == ({"page": 2}, JobStatus.QUEUED)
    assert (again.parameters, again.status, again.run_after) == (row.parameters, row.status, row.run_after)
    assert row.run_after < LATER


@in_one_thread
def test_the_last_call_wins_over_one_that_waits_at_a_limit(alias: str) -> None:
    """It is ready then, and waits again where it must."""
    first = debounced.using(unique_key="index").enqueue(page=1)
    waits = {"status": JobStatus.BLOCKED, "blocked_on": "q:default:default"}
    Job.objects.using(alias).filter(pk=first.pk).update(**waits)
    again = debounced.using(unique_key="index").enqueue(page=2)
    row = only_row(alias)
    assert (again.id, again.is_new) == (first.id, False)
    assert (row.parameters, row.status, row.blocked_on) == ({"page": 2}, JobStatus.QUEUED, None)


@in_one_thread
def test_a_debounced_job_waits_longer_with_each_call(alias: str) -> None:
    debounced.using(unique_key="index").enqueue(page=1)
    debounced.using(unique_key="index", run_after=LATER).enqueue(page=2)
    row = only_row(alias)
    assert (row.parameters, row.status, row.run_after) == ({"page": 2}, JobStatus.PENDING, LATER)


@in_one_thread
def test_extend_changes_the_due_time_alone(alias: str) -> None:
    first = unique_waiting.using(unique_key="index").enqueue(1)
    again = unique_waiting.using(unique_key="index", run_after=LATER, on_conflict="extend").enqueue(2)
    row = only_row(alias)
    assert (again.id, row.parameters, row.run_after) == (first.id, {"key": 1}, LATER)


@in_one_thread
@pytest.mark.parametrize(
    "order_key", [None, "order:8"], ids=["enqueued without a key", "enqueued with a key"]
)
@pytest.mark.parametrize("is_ordered", [False, True], ids=["waits without a key", "waits with a key"])
def test_extend_leaves_a_job_the_line_it_is_of(alias: str, is_ordered: bool, order_key: str | None) -> None:
    """Whichever line the enqueue is of: one of a line waits in it, and one of none is ready."""
    line: dict[str, Any] = {"order_key": "order:7"} if is_ordered else {}
    before = make_job(alias, **line)
    first = unique_waiting.using(unique_key="index", **line).enqueue(1)
    # As those of a line are on the way to their turn, and those of none too: at a limit.
    Job.objects.using(alias).filter(pk=first.pk).exclude(order_key="order:7").update(
        status=JobStatus.BLOCKED, blocked_on="q:default:default"
    )
    again = unique_waiting.using(unique_key="index", on_conflict="extend", order_key=order_key).enqueue(2)
    row = Job.objects.using(alias).exclude(pk=before.pk).get()
    waits = (JobStatus.BLOCKED, "o:default:order:7") if is_ordered else (JobStatus.QUEUED, None)
    assert (again.id, row.parameters, row.order_key) == (first.id, {"key": 1}, line.get("order_key"))
    assert (row.status, row.blocked_on) == waits


@in_one_thread
def test_keep_is_what_happens_where_nothing_is_said(alias: str) -> None:
    for options in (unique_waiting, debounced.using(on_conflict="keep")):
        first = options.using(unique_key="index").enqueue(1)
        again = options.using(unique_key="index", run_after=LATER).enqueue(2)
        assert (again.id, again.is_new) == (first.id, False)
        row = Job.objects.using(alias).get(pk=first.pk)
        assert (row.parameters, row.status) == (first.parameters, JobStatus.QUEUED)
        Job.objects.using(alias).all().delete()


@in_one_thread
def test_many_at_once_replace_what_was_there_and_add_the_others(alias: str) -> None:
    unique_waiting.using(run_after=LATER).enqueue(1)
    jobs = unique_waiting.using(on_conflict="extend").enqueue_many([{"key": 2}, {"key": 1}])
    assert [job.is_new for job in jobs] == [True, False]
    statuses = Job.objects.using(alias).values_list("status", flat=True)
    assert set(statuses) == {JobStatus.QUEUED}


@in_one_thread
@pytest.mark.parametrize("is_there", [False, True], ids=["new", "there before"])
def test_of_equal_ones_in_one_call_the_last_one_wins(alias: str, is_there: bool) -> None:
    unique = debounced.using(unique_key="index")
    if is_there:
        unique.enqueue(page=0)
    first, second = unique.enqueue_many([{"page": 1}, {"page": 2}])
    assert (first.id, first.parameters) == (second.id, {"page": 2})
    assert only_row(alias).parameters == {"page": 2}


@in_one_thread
@pytest.mark.parametrize("on_conflict", ["keep", "extend"])
def test_of_equal_ones_in_one_call_the_first_one_keeps_its_parameters(alias: str, on_conflict: str) -> None:
    unique = unique_waiting.using(unique_key="index", on_conflict=on_conflict)
    first, second = unique.enqueue_many([{"key": 1}, {"key": 2}])
    assert (first.id, first.parameters) == (second.id, {"key": 1})
    assert only_row(alias).parameters == {"key": 1}


@in_one_thread
def test_a_replaced_job_has_all_its_retries_again(store: OrmJobStore[Job], alias: str) -> None:
    debounced.using(unique_key="index").enqueue(page=1)
    job = store.claim_next_job(str(uuid4()))
    assert job is not None
    failure = engine_failure("test", "as the test asked", "test")
    store.finish_jobs(
        [Retried(job_id=job.id, claim=job.claim, failure=failure, retry_count=2, delay_seconds=60)]
    )
    again = debounced.using(unique_key="index").enqueue(page=2)
    row = Job.objects.using(alias).get(pk=again.pk)
    assert (row.retry_count, row.parameters) == (0, {"page": 2})


@in_one_thread
def test_a_job_that_runs_is_left_as_it_is(store: OrmJobStore[Job], alias: str) -> None:
    unique_running.using(unique_key="index").enqueue(1)
    running = store.claim_next_job(str(uuid4()))
    assert running is not None
    again = unique_running.using(unique_key="index", run_after=LATER, on_conflict="replace").enqueue(2)
    row = only_row(alias)
    assert (again.id, again.status, again.is_new) == (running.id, JobStatus.RUNNING, False)
    assert (row.parameters, row.status, row.claim) == ({"key": 1}, JobStatus.RUNNING, running.claim)


@in_one_thread
def test_the_changed_job_expires_as_the_enqueue_says(alias: str) -> None:
    debounced.using(unique_key="index", deadline=60).enqueue(page=1)
    first = only_row(alias).expires_at
    debounced.using(unique_key="index", deadline=3_600).enqueue(page=2)
    second = only_row(alias).expires_at
    assert first is not None
    assert second is not None
    assert (second - first).total_seconds() > 3_000


@pytest.mark.django_db(transaction=True)
def test_workers_are_woken_for_a_job_that_is_due_now() -> None:
    debounced.using(unique_key="index", run_after=LATER).enqueue(page=1)
    queue = JobQueue()
    while queue.dequeue(0.1):
        pass
    debounced.using(unique_key="index").enqueue(page=2)
    hint = queue.dequeue(1)
    assert hint is not None


@pytest.mark.django_db(transaction=True)
def test_a_claim_that_is_under_way_comes_first_and_the_change_becomes_a_job_of_its_own() -> None:
    """Nothing is lost: the new parameters either reach the job before its claim, or are a second job."""
    first = debounced.using(unique_key="index").enqueue(page=1)
    results: list[Job] = []

    def enqueue() -> None:
        results.append(debounced.using(unique_key="index").enqueue(page=2))
        connections.close_all()

    thread = threading.Thread(target=enqueue)
    with transaction.atomic():
        Job.objects.filter(pk=first.pk).update(status=JobStatus.RUNNING, unique_slot=None)
        thread.start()
        wait_until(is_somebody_waiting_for_a_lock)
    thread.join()
    (second,) = results
    assert (second.is_new, second.parameters, second.id == first.id) == (True, {"page": 2}, False)
    first.refresh_from_db()
    assert (first.status, first.parameters) == (JobStatus.RUNNING, {"page": 1})


def test_a_bad_value_is_refused_where_it_is_said() -> None:
    with pytest.raises(
        InvalidJobDefinition, match=r"on_conflict is 'overwrite'\. Accepted: 'keep', 'replace', 'extend'"
    ):
        definition_of(send.function, unique="while_waiting", on_conflict="overwrite")
    with pytest.raises(InvalidJobDefinition, match="without unique="):
        definition_of(send.function, on_conflict="replace")
    assert definition_of(send.function, unique=once_per(5), on_conflict="extend").unique is not None


@pytest.mark.django_db
def test_a_bad_value_of_an_enqueue_is_refused_before_anything_is_stored() -> None:
    with pytest.raises(EnqueueError, match="Accepted: 'keep', 'replace', 'extend'"):
        unique_waiting.using(on_conflict="overwrite").enqueue(1)
    with pytest.raises(EnqueueError, match="without unique="):
        send.using(on_conflict="replace").enqueue(to="a")
    assert not Job.objects.exists()
