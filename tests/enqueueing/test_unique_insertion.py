"""Unique jobs: three modes, under concurrency, in long transactions, on retry, rescue and give-back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.db import close_old_connections, connections, transaction
from django.db.models import F
from django.utils import timezone

from pleme_redis_django import JobQueue, JobStatus
from pleme_redis_django.conf import get_settings
from pleme_redis_django.enqueueing import unique_insertion
from pleme_redis_django.exceptions import UniqueSlotContended
from pleme_redis_django.jobs.interface.endings import Completed, Ending, Failed, GivenBack, Retried
from pleme_redis_django.jobs.interface.failures import engine_failure
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import Job
from pleme_redis_django.operations import set_limit
from pleme_redis_django.orm_store import OrmJobStore
from tests.enqueueing import jobs
from tests.waiting import wait_until

DEADLINE_SECONDS = 20
FAILURE = engine_failure("test", "as the test asked", "test")
MODES = {
    "while_waiting": jobs.unique_waiting,
    "while_running": jobs.unique_running,
    "once_per": jobs.unique_hourly,
}
ALIASES = ["default", "sqlite"]

in_one_thread = pytest.mark.django_db(databases=ALIASES)
in_threads_of_both = pytest.mark.django_db(transaction=True, databases=ALIASES)
in_threads_of_postgres = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=ALIASES)
def alias(request: pytest.FixtureRequest, settings: Any) -> str:
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "DATABASE": request.param}
    return str(request.param)


@pytest.fixture(params=MODES)
def unique(request: pytest.FixtureRequest, alias: str) -> Any:
    return MODES[request.param]


@pytest.fixture(params=["redis", "no redis"])
def remembered(request: pytest.FixtureRequest, settings: Any) -> bool:
    """Whether Redis remembers who holds a place, so that no insert is tried."""
    if request.param == "no redis":
        settings.PLEME_REDIS = {**settings.PLEME_REDIS, "URL": None}
    return str(request.param) == "redis"


@pytest.fixture
def store(alias: str) -> OrmJobStore[Job]:
    return OrmJobStore(Job, using=alias)


def claim(store: OrmJobStore[Job]) -> Job:
    job = store.claim_next_job(str(uuid4()))
    assert job is not None
    return job


def end(store: OrmJobStore[Job], job: Job, kind: str) -> None:
    shared: dict[str, Any] = {"job_id": job.id, "claim": job.claim}
    endings: dict[str, Ending] = {
        "completed": Completed(**shared),
        "failed": Failed(**shared, failure=FAILURE),
        "retried": Retried(**shared, failure=FAILURE, retry_count=1, delay_seconds=0),
        "given_back": GivenBack(**shared),
        "rescued": GivenBack(**shared, crashed=True, failure=FAILURE),
    }
    assert list(store.finish_jobs([endings[kind]])) == [True]
    store.promote_due_jobs(10)


@in_one_thread
def test_the_second_enqueue_gets_the_first_job(unique: Any, alias: str) -> None:
    first = unique.enqueue(1)
    again = unique.enqueue(key=1)
    assert again == first
    assert again.status == JobStatus.QUEUED
    assert unique.enqueue(2) != first
    assert Job.objects.using(alias).count() == 2


@in_one_thread
def test_products_do_not_share_a_place(unique: Any, alias: str) -> None:
    assert unique.using(product="novaskyn").enqueue(1) != unique.using(product="other").enqueue(1)


@in_one_thread
def test_twins_in_one_call_are_one_job(unique: Any, alias: str) -> None:
    found = unique.enqueue_many([{"key": 1}, {"key": 2}, {"key": 1}])
    assert [job.pk for job in found] == [found[0].pk, found[1].pk, found[0].pk]
    assert Job.objects.using(alias).count() == 2


@in_one_thread
def test_a_key_of_its_own_replaces_the_parameters(alias: str) -> None:
    first = jobs.send.using(unique_key="order-1").enqueue("a")
    assert jobs.send.using(unique_key="order-1").enqueue("b") == first
    assert jobs.send.using(unique_key="order-2").enqueue("a") != first
    assert jobs.send.enqueue("a") != first


@in_one_thread
@pytest.mark.parametrize(
    ("mode", "free_when"), [("while_waiting", "started"), ("while_running", "ended"), ("once_per", "later")]
)
@pytest.mark.parametrize("kind", ["completed", "failed"])
def test_when_the_place_is_free_again(
    store: OrmJobStore[Job], alias: str, mode: str, free_when: str, kind: str
) -> None:
    unique = MODES[mode]
    first = unique.enqueue(1)
    running = claim(store)
    assert (unique.enqueue(1) != first) is (free_when == "started")
    Job.objects.using(alias).exclude(pk=first.pk).delete()
    end(store, running, kind)
    assert (unique.enqueue(1) != first) is (free_when in ("started", "ended"))


@in_one_thread
@pytest.mark.parametrize("kind", ["retried", "given_back", "rescued"])
def test_an_attempt_that_ends_without_the_job_keeps_the_place(
    store: OrmJobStore[Job], alias: str, kind: str
) -> None:
    for unique in (jobs.unique_running, jobs.unique_hourly):
        first = unique.enqueue(1)
        end(store, claim(store), kind)
        assert unique.enqueue(1) == first
        Job.objects.using(alias).all().delete()


@in_one_thread
@pytest.mark.parametrize("kind", ["retried", "given_back", "rescued"])
def test_a_place_that_was_given_up_at_the_start_is_not_taken_back(
    store: OrmJobStore[Job], alias: str, kind: str
) -> None:
    """The place is someone else's by now: taking it back would fail the retry or the rescue."""
    first = jobs.unique_waiting.enqueue(1)
    running = claim(store)
    second = jobs.unique_waiting.enqueue(1)
    assert second != first
    end(store, running, kind)
    statuses = dict(Job.objects.using(alias).values_list("pk", "status"))
    assert statuses == {first.pk: JobStatus.QUEUED, second.pk: JobStatus.QUEUED}
    assert jobs.unique_waiting.enqueue(1) == second


@in_one_thread
def test_a_period_is_over_after_its_seconds(alias: str, store: OrmJobStore[Job]) -> None:
    first = jobs.unique_hourly.enqueue(1)
    end(store, claim(store), "completed")
    Job.objects.using(alias).update(created_at=F("created_at") - timedelta(seconds=3_590))
    assert jobs.unique_hourly.enqueue(1) == first
    Job.objects.using(alias).update(created_at=F("created_at") - timedelta(seconds=20))
    second = jobs.unique_hourly.enqueue(1)
    assert second != first
    assert jobs.unique_hourly.enqueue(1) == second


@in_one_thread
def test_a_deleted_job_holds_no_place(unique: Any, alias: str) -> None:
    """It is never run: an enqueue that returned it would be lost."""
    first = unique.enqueue(1)
    Job.objects.using(alias).filter(pk=first.pk).update(deleted_at=timezone.now())
    second = unique.enqueue(1)
    assert second != first
    assert unique.enqueue(1) == second


@in_one_thread
@pytest.mark.parametrize("mode", ["while_waiting", "while_running"])
def test_a_job_whose_deadline_is_over_holds_no_place(
    store: OrmJobStore[Job], alias: str, mode: str, remembered: bool
) -> None:
    """It is never run: an enqueue that returned it would be lost."""
    unique = MODES[mode].using(deadline=60)
    first = unique.enqueue(1)
    Job.objects.using(alias).filter(pk=first.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    second = unique.enqueue(1)
    assert (second != first, second.is_new) == (True, True)
    assert unique.enqueue(1) == second
    assert store.end_expired_jobs(10) == 1
    assert claim(store).pk == second.pk


@in_one_thread
def test_a_period_goes_on_when_the_deadline_of_its_job_is_over(alias: str, remembered: bool) -> None:
    first = jobs.unique_hourly.using(deadline=60).enqueue(1)
    Job.objects.using(alias).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert jobs.unique_hourly.enqueue(1) == first


def in_threads(functions: Sequence[Callable[[], Any]]) -> list[Any]:
    results: list[Any] = [None] * len(functions)
    start = threading.Barrier(len(functions))

    def run(index: int) -> None:
        try:
            start.wait(DEADLINE_SECONDS)
            results[index] = functions[index]()
        except BaseException as error:
            results[index] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_SECONDS)
    close_old_connections()
    return results


@in_threads_of_both
def test_of_many_at_once_all_get_the_same_job(unique: Any, alias: str) -> None:
    found = in_threads([lambda: unique.enqueue(1).pk] * 8)
    assert len(set(found)) == 1, found
    assert Job.objects.using(alias).count() == 1


@in_threads_of_both
def test_batches_that_overlap_do_not_deadlock(unique: Any, alias: str) -> None:
    keys = list(range(40))
    found = in_threads(
        [
            lambda order=order: [job.pk for job in unique.enqueue_many({"key": key} for key in order)]
            for order in (keys, keys[::-1], keys[20:] + keys[:20], keys[::2] + keys[1::2]) * 2
        ]
    )
    assert [one for one in found if isinstance(one, BaseException)] == []
    assert Job.objects.using(alias).count() == 40


class InATransaction:
    """Enqueues in a thread, inside a transaction that stays open until the test says how it ends."""

    def __init__(self, unique: Any, key: int) -> None:
        self.enqueued = threading.Event()
        self._end = threading.Event()
        self._undo = False
        self._unique, self._key = unique, key
        self.job: Any = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self, *, undo: bool) -> None:
        self._undo = undo
        self._end.set()
        self._thread.join(DEADLINE_SECONDS)

    def _run(self) -> None:
        try:
            with transaction.atomic():
                self.job = self._unique.enqueue(self._key).pk
                self.enqueued.set()
                assert self._end.wait(DEADLINE_SECONDS)
                if self._undo:
                    transaction.set_rollback(True)
        finally:
            connections.close_all()


def _blocked_sessions() -> int:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # a transaction sees what it saw first
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return int(cursor.fetchone()[0])


@in_threads_of_postgres
@pytest.mark.parametrize("undo", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_a_long_transaction_makes_the_second_wait_for_its_end(mode: str, undo: bool) -> None:
    first = InATransaction(MODES[mode], 1)
    assert first.enqueued.wait(DEADLINE_SECONDS)
    second: list[Any] = []
    waiting = threading.Thread(target=lambda: second.extend(in_threads([lambda: MODES[mode].enqueue(1).pk])))
    waiting.start()
    wait_until(_blocked_sessions)
    first.end(undo=undo)
    waiting.join(DEADLINE_SECONDS)
    (found,) = second
    assert (found == first.job) is not undo
    assert [job.pk for job in Job.objects.all()] == [found]


@in_threads_of_postgres
@pytest.mark.parametrize("many", [False, True], ids=["one", "many at once"])
@pytest.mark.parametrize("on_conflict", ["replace", "extend"])
def test_transactions_that_change_the_same_job_come_one_after_the_other(
    remembered: bool, on_conflict: str, many: bool
) -> None:
    """Two that shared its lock would wait for each other, and the database would end one of them."""
    unique = jobs.unique_waiting.using(on_conflict=on_conflict)
    waiting = unique.enqueue(1)

    def enqueue_in_a_transaction() -> Any:
        with transaction.atomic():
            return unique.enqueue_many([{"key": 1}])[0].pk if many else unique.enqueue(1).pk

    first = InATransaction(unique, 1)
    assert first.enqueued.wait(DEADLINE_SECONDS)
    found: list[Any] = []
    both = threading.Thread(target=lambda: found.extend(in_threads([enqueue_in_a_transaction] * 2)))
    both.start()
    wait_until(lambda: _blocked_sessions() == 2)
    first.end(undo=False)
    both.join(DEADLINE_SECONDS)
    assert found == [waiting.pk] * 2


def hints_at_default() -> int:
    return JobQueue("default").stats().length if get_settings().url else 0


@in_threads_of_postgres
@pytest.mark.parametrize("undo", [False, True])
def test_a_waiting_job_does_not_start_before_the_change_it_stands_for_is_committed(
    remembered: bool, undo: bool
) -> None:
    waiting = jobs.unique_waiting.enqueue(1)
    changes = [InATransaction(jobs.unique_waiting, 1) for _change in range(2)]
    for change in changes:  # both at once: neither waits for the other
        assert change.enqueued.wait(DEADLINE_SECONDS)
        assert change.job == waiting.pk
    hints = hints_at_default()
    for change in changes:
        assert OrmJobStore(Job).claim_next_job(str(uuid4())) is None
        change.end(undo=undo)
    assert hints_at_default() - hints == (2 if remembered and not undo else 0)
    assert claim(OrmJobStore(Job)).pk == waiting.pk


@in_threads_of_postgres
def test_a_change_while_the_waiting_job_is_being_claimed_gets_a_job_of_its_own(remembered: bool) -> None:
    waiting = jobs.unique_waiting.enqueue(1)
    with transaction.atomic():
        claim(OrmJobStore(Job))
        change: list[Any] = []
        enqueueing = threading.Thread(target=lambda: change.append(InATransaction(jobs.unique_waiting, 1)))
        enqueueing.start()
        wait_until(_blocked_sessions)
    enqueueing.join(DEADLINE_SECONDS)
    assert change[0].enqueued.wait(DEADLINE_SECONDS)
    change[0].end(undo=False)
    assert [job.pk for job in Job.objects.filter(status=JobStatus.QUEUED)] == [change[0].job]
    assert change[0].job != waiting.pk


@in_threads_of_postgres
@pytest.mark.parametrize("on_conflict", ["keep", "replace"])
def test_a_job_whose_claim_was_waited_for_is_not_held_until_the_end_of_the_transaction(
    remembered: bool, on_conflict: str
) -> None:
    """Its worker frees its place next, where a limit is known, and would claim nothing else meanwhile."""
    set_limit("type", jobs.unique_waiting.name, max_running=5)
    store = OrmJobStore(Job)
    assert list(store.claim_jobs(str(uuid4()), 1, JobSelection())) == [], "it knows of the limit from now on"
    unique = jobs.unique_waiting.using(on_conflict=on_conflict)
    claimed = unique.enqueue(1)
    with transaction.atomic():
        assert len(store._claim(store._request(str(uuid4()), 1, JobSelection()))) == 1
        change: list[Any] = []
        enqueueing = threading.Thread(target=lambda: change.append(InATransaction(unique, 1)))
        enqueueing.start()
        wait_until(_blocked_sessions)
    enqueueing.join(DEADLINE_SECONDS)
    assert change[0].enqueued.wait(DEADLINE_SECONDS)
    with transaction.atomic():
        assert Job.objects.select_for_update(nowait=True).get(pk=claimed.pk).status == JobStatus.RUNNING
    change[0].end(undo=False)
    assert {job.pk for job in Job.objects.all()} == {claimed.pk, change[0].job}
    assert change[0].job != claimed.pk


@in_one_thread
def test_a_waiting_job_is_found_from_inside_a_transaction(alias: str, remembered: bool) -> None:
    with transaction.atomic(using=alias):
        first = jobs.unique_waiting.enqueue(1)
        assert jobs.unique_waiting.enqueue(1) == first
        assert jobs.unique_waiting.enqueue_many([{"key": 1}, {"key": 2}])[0] == first


@in_threads_of_postgres
def test_many_unique_jobs_are_stored_all_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.unique_running.enqueue(2)
    monkeypatch.setattr(unique_insertion, "_holders", lambda *_args, **_kwargs: {})  # taken and freed again
    with pytest.raises(UniqueSlotContended, match="Nothing was stored"):
        jobs.unique_running.enqueue_many([{"key": key} for key in (1, 2, 3)])
    assert [job.parameters for job in Job.objects.all()] == [{"key": 2}]
    assert hints_at_default() == 1


def enqueue_at(level: str, unique: Any) -> Any:
    """Enqueue at an isolation level, in a thread of its own."""
    with connections["default"].cursor() as cursor:
        cursor.execute(f"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL {level}")
    return unique.enqueue(1).pk


@in_threads_of_postgres
@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize("mode", MODES)
def test_under_a_stricter_isolation_an_enqueue_of_its_own_is_tried_again(mode: str, level: str) -> None:
    first = InATransaction(MODES[mode], 1)
    assert first.enqueued.wait(DEADLINE_SECONDS)
    second: list[Any] = []
    waiting = threading.Thread(
        target=lambda: second.extend(in_threads([partial(enqueue_at, level, MODES[mode])]))
    )
    waiting.start()
    wait_until(_blocked_sessions)
    first.end(undo=False)
    waiting.join(DEADLINE_SECONDS)
    assert second == [first.job]


@in_threads_of_postgres
@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize("mode", MODES)
def test_under_a_stricter_isolation_a_change_of_its_own_is_tried_again(
    remembered: bool, mode: str, level: str
) -> None:
    unique = MODES[mode].using(on_conflict="replace")
    waiting = unique.enqueue(1)

    first = InATransaction(unique, 1)
    assert first.enqueued.wait(DEADLINE_SECONDS)
    second: list[Any] = []
    changing = threading.Thread(
        target=lambda: second.extend(in_threads([partial(enqueue_at, level, unique)]))
    )
    changing.start()
    wait_until(_blocked_sessions)
    first.end(undo=False)
    changing.join(DEADLINE_SECONDS)
    assert second == [waiting.pk]
