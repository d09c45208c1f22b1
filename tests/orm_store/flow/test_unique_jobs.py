"""Jobs that keep equal ones out until they start, where limits and rates have them wait after their claim."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError, connections, transaction
from django.test.utils import CaptureQueriesContext

from pleme_redis_django.jobs.definitions.limits import DeclaredLimit
from pleme_redis_django.jobs.interface.endings import GivenBack
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import Job
from pleme_redis_django.models.flow_limit import LimitKind, LimitSource
from pleme_redis_django.operations import set_limit
from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.orm_store.claims import free_unique_slots
from pleme_redis_django.orm_store.flow import declared
from tests.database_sessions import TABLE, another_session
from tests.enqueueing.jobs import anything, debounced, unique_running, unique_waiting
from tests.rows import BACKENDS

pytestmark = pytest.mark.django_db(transaction=True, databases=BACKENDS)

DEADLINE_SECONDS = 10
ONE_AT_A_TIME: dict[str, Any] = {"max_running": 1}
ONE_AN_HOUR: dict[str, Any] = {"rate": 1, "per_seconds": 3_600, "burst": 1}
PLAIN, FAIR = JobSelection(), JobSelection(fair=True)


@pytest.fixture(params=BACKENDS)
def alias(request: pytest.FixtureRequest, settings: Any) -> str:
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "DATABASE": request.param}
    return str(request.param)


@pytest.fixture
def store(alias: str) -> OrmJobStore[Job]:
    return OrmJobStore(Job, using=alias)


@pytest.fixture(autouse=True)
def _nothing_is_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(declared, "declared_limits", lambda model: {})


@pytest.fixture(params=["redis", "no redis"], autouse=True)
def _redis_or_not(request: pytest.FixtureRequest, settings: Any) -> None:
    if request.param == "no redis":
        settings.PLEME_REDIS = {**settings.PLEME_REDIS, "URL": None}


def claim(store: OrmJobStore[Job], selection: JobSelection = PLAIN) -> Sequence[Job]:
    return store.claim_jobs(str(uuid4()), 10, selection)


def claim_without_admission(store: OrmJobStore[Job]) -> Job:
    """Claim one job as a process does that has not asked yet whether it may start."""
    (job,) = store._claim(store._request(str(uuid4()), 1, PLAIN))
    return job


def assert_its_worker_may_write(job: Job) -> None:
    """Fail where the transaction that is open holds the row: SQLite has no locks of rows."""
    if job._state.db == "default":
        with another_session() as session, session.cursor() as cursor:
            cursor.execute(f"SELECT id FROM {TABLE} WHERE id = %s FOR UPDATE NOWAIT", [job.pk])


@pytest.mark.parametrize("selection", [PLAIN, FAIR], ids=["plain", "fair"])
@pytest.mark.parametrize("numbers", [ONE_AT_A_TIME, ONE_AN_HOUR], ids=["limit", "rate"])
def test_a_job_that_waits_at_a_limit_keeps_equal_ones_out(
    store: OrmJobStore[Job], numbers: dict[str, Any], selection: JobSelection
) -> None:
    set_limit("type", unique_waiting.name, **numbers)
    unique_waiting.enqueue(0)
    assert len(claim(store, selection)) == 1
    waiting = unique_waiting.enqueue(1)
    assert list(claim(store, selection)) == []
    assert unique_waiting.enqueue(1) == waiting
    assert unique_waiting.enqueue_many([{"key": 1}])[0] == waiting
    blocked = Job.objects.using(store.using).filter(status=JobStatus.BLOCKED)
    assert [job.pk for job in blocked] == [waiting.pk]


@pytest.mark.parametrize("selection", [PLAIN, FAIR], ids=["plain", "fair"])
def test_a_job_that_starts_lets_the_next_one_in(store: OrmJobStore[Job], selection: JobSelection) -> None:
    set_limit("type", unique_waiting.name, max_running=5)
    first = unique_waiting.enqueue(1)
    (started,) = claim(store, selection)
    assert (started.pk, started.unique_slot) == (first.pk, None)
    second = unique_waiting.enqueue(1)
    assert (second.is_new, second != first) == (True, True)
    assert [job.pk for job in claim(store, selection)] == [second.pk]


def test_the_first_claim_that_meets_a_declared_limit_keeps_the_place_too(
    store: OrmJobStore[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it claims, the limit has no row so far."""
    limit = DeclaredLimit(kind=LimitKind.TYPE, name=unique_waiting.name, max_running=1)
    found = {(LimitKind.TYPE, unique_waiting.name): (limit, LimitSource.SETTINGS)}
    monkeypatch.setattr(declared, "declared_limits", lambda model: found)
    jobs = unique_waiting.enqueue_many([{"key": 1}, {"key": 2}])
    (started,) = claim(store)
    (waiting,) = (job for job in jobs if job.pk != started.pk)
    assert unique_waiting.enqueue(**waiting.parameters) == waiting


def test_a_place_costs_a_statement_only_where_a_started_job_has_one(store: OrmJobStore[Job]) -> None:
    def frees(job: Any) -> int:
        job.enqueue(key=1)
        with CaptureQueriesContext(connections[store.using]) as queries:
            assert len(claim(store)) == 1
        return sum('SET "unique_slot" = NULL' in query["sql"] for query in queries)

    set_limit("type", unique_waiting.name, max_running=5)
    assert list(claim(store)) == []
    assert [frees(job) for job in (anything, unique_running, unique_waiting)] == [0, 0, 1]


def test_a_claim_does_not_wait_for_long_for_who_holds_the_row_of_a_place(store: OrmJobStore[Job]) -> None:
    """The claims of the whole process come one after the other."""
    if store.using != "default":
        pytest.skip("SQLite has no locks of rows")
    set_limit("type", unique_waiting.name, max_running=5)
    assert list(claim(store)) == []
    unique_waiting.enqueue(1)
    claimed = claim_without_admission(store)
    refused: list[OperationalError] = []

    def free() -> None:
        try:
            free_unique_slots(store._table, str(claimed.worker_id), [claimed])
        except OperationalError as error:
            refused.append(error)
        finally:
            connections.close_all()

    with another_session() as session, session.cursor() as cursor:
        cursor.execute(f"SELECT id FROM {TABLE} WHERE id = %s FOR UPDATE", [claimed.pk])
        freeing = threading.Thread(target=free, daemon=True)
        freeing.start()
        freeing.join(DEADLINE_SECONDS)
        assert len(refused) == 1
    freeing.join(DEADLINE_SECONDS)


@pytest.mark.parametrize("at_once", [True, False], ids=["many at once", "one"])
def test_a_claim_that_is_not_decided_yet_takes_no_change_with_it(
    store: OrmJobStore[Job], at_once: bool
) -> None:
    """It may start before the transaction commits, and with what was there before: the change gets a job of its own."""

    def enqueue(job: Any) -> Job:
        found: Job = job.enqueue_many([{"key": 1}])[0] if at_once else job.enqueue(1)
        return found

    set_limit("type", unique_waiting.name, max_running=5)
    assert list(claim(store)) == [], "it knows of the limit from now on"
    first = unique_waiting.enqueue(1)
    claimed = claim_without_admission(store)
    assert claimed.pk == first.pk
    assert enqueue(unique_waiting) == first, "what is committed it sees"
    with transaction.atomic(using=store.using):
        own = enqueue(unique_waiting)
        assert_its_worker_may_write(claimed)
    assert (own != first, own.is_new) == (True, True)
    # Its process may have died, and nobody knows it for as long as its lease: equal ones become one all the same.
    assert enqueue(unique_waiting.using(on_conflict="replace")) == own
    with transaction.atomic(using=store.using):
        again = enqueue(unique_waiting)
    assert (again, again.is_new) == (own, False)
    assert Job.objects.using(store.using).count() == 2
    # The process has died: whoever rescues the job finds it as it was.
    assert claimed.claim is not None
    rescued = GivenBack(job_id=claimed.id, claim=claimed.claim, crashed=True)
    assert list(store.finish_jobs([rescued])) == [True]
    assert enqueue(unique_waiting) == first


def test_the_last_call_wins_over_a_job_that_waits_at_a_limit(store: OrmJobStore[Job]) -> None:
    set_limit("type", debounced.name, max_running=1)
    debounced.using(unique_key="other").enqueue(page=0)
    assert len(claim(store)) == 1
    waiting = debounced.using(unique_key="index").enqueue(page=1)
    assert list(claim(store)) == []
    assert debounced.using(unique_key="index").enqueue(page=2) == waiting
    waiting.refresh_from_db()
    assert waiting.parameters == {"page": 2}
