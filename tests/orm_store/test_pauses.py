"""Claims and paused queues: what is left alone, from when on, and what goes on beside it."""

from __future__ import annotations

import threading
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import Job
from pleme_redis_django.operations import pause_queue, resume_queue
from pleme_redis_django.orm_store import OrmJobStore, known_pauses
from tests.rows import BACKENDS, ago, make_job
from tests.workload.models import EmailJob

pytestmark = [
    pytest.mark.django_db(databases=["default", "sqlite"]),
    pytest.mark.parametrize("using", BACKENDS),
]

WORKER = str(uuid4())
EVERYTHING = JobSelection()
ONE_QUEUE, TWO_QUEUES = JobSelection(queue_names=("email",)), JobSelection(queue_names=("email", "images"))
SELECTIONS = [
    EVERYTHING,
    ONE_QUEUE,
    TWO_QUEUES,
    JobSelection(product="ours"),
    JobSelection(job_types=frozenset({"tests.noop"})),
]


@pytest.fixture
def store(using: str) -> OrmJobStore[Any]:
    return OrmJobStore(Job, using=using)


def claimed(store: OrmJobStore[Any], selection: JobSelection = EVERYTHING, limit: int = 10) -> list[Any]:
    return [job.id for job in store.claim_jobs(WORKER, limit, selection)]


@pytest.fixture
def reread_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a resume be noticed by the next claim, instead of half a second later."""
    monkeypatch.setattr(known_pauses, "REREAD_SECONDS", 0.0)


@pytest.mark.parametrize("selection", SELECTIONS, ids=str)
@pytest.mark.parametrize("product", [None, "ours"])
def test_no_job_of_a_paused_queue_is_claimed(
    using: str, store: OrmJobStore[Any], selection: JobSelection, product: str | None, reread_at_once: None
) -> None:
    first = make_job(using, queue_name="email", product="ours")
    assert claimed(store, selection) == [first.id], "nothing is paused yet"
    job = make_job(using, queue_name="email", product="ours")
    pause_queue("email", product=product, using=using)
    assert claimed(store, selection) == []
    assert not store.look_ahead(selection).ready
    assert store.held_back() is not None
    job.refresh_from_db()
    assert (job.status, job.attempt) == (JobStatus.QUEUED, 0)
    resume_queue("email", product=product, using=using)
    assert claimed(store, selection) == [job.id]
    assert store.held_back() is None


def test_a_pause_holds_from_its_commit_on_for_a_store_that_has_not_read_it(
    using: str, store: OrmJobStore[Any]
) -> None:
    pause_queue("images", using=using)
    store.look_ahead(EVERYTHING)
    make_job(using, queue_name="email")
    other = make_job(using, queue_name="other")
    pause_queue("email", using=using)
    # It knows the pause of images, and not the one of email: the claim is empty, and read again.
    assert claimed(store) in ([], [other.id])
    assert Job.objects.using(using).get(queue_name="email").status == JobStatus.QUEUED


def test_jobs_of_other_queues_products_and_models_go_on(using: str, store: OrmJobStore[Any]) -> None:
    pause_queue("email", using=using)
    pause_queue("images", product="theirs", using=using)
    pause_queue("images", model=EmailJob, using=using)
    make_job(using, queue_name="email", product="ours")
    make_job(using, queue_name="images", product="theirs")
    free = [
        make_job(using, queue_name="images", product="ours").id,
        make_job(using, queue_name="other", product="theirs").id,
    ]
    assert claimed(store) == free


def test_the_claim_order_holds_across_the_open_queues(using: str, store: OrmJobStore[Any]) -> None:
    pause_queue("paused", using=using)
    make_job(using, queue_name="paused", priority=100)
    expected = [
        make_job(using, queue_name=f"queue-{number % 3}", priority=-number // 2, run_after=ago(60 - number))
        for number in range(9)
    ]
    ids = [job.id for job in expected]
    assert claimed(store, limit=4) == ids[:4]
    assert claimed(store, limit=9) == ids[4:]


def test_a_suspect_of_a_paused_queue_is_left_alone(using: str, store: OrmJobStore[Any]) -> None:
    make_job(using, queue_name="email", crash_count=2)
    free = make_job(using, queue_name="images", crash_count=2)
    pause_queue("email", using=using)
    assert store.look_ahead(EVERYTHING).suspects
    assert claimed(store, JobSelection(suspects=True)) == [free.id]
    assert not store.look_ahead(EVERYTHING).suspects


def test_paused_jobs_are_neither_claimable_nor_forgotten_nor_unserved(
    using: str, store: OrmJobStore[Any]
) -> None:
    make_job(using, queue_name="email", job_type="unknown", updated_at=ago(3600))
    assert store.count_claimable_jobs() == 1
    pause_queue("email", using=using)
    assert store.count_claimable_jobs() == 0
    assert store.find_orphaned_jobs() == []
    assert store.count_unserved(frozenset({"known"})) == {}


def test_a_running_job_of_a_paused_queue_ends_as_ever(using: str, store: OrmJobStore[Any]) -> None:
    make_job(using)
    job = store.claim_next_job(WORKER)
    assert job is not None
    pause_queue("default", using=using)
    assert store.mark_job_completed(job.id, None, claim=job.claim)


def test_a_retry_of_a_paused_queue_becomes_due_and_waits(using: str, store: OrmJobStore[Any]) -> None:
    job = make_job(using, status=JobStatus.PENDING, run_after=ago(5))
    pause_queue("default", using=using)
    assert store.promote_due_jobs(10) == 1
    assert claimed(store) == []
    job.refresh_from_db()
    assert job.status == JobStatus.QUEUED


def test_a_claim_costs_no_query_more_while_nothing_is_paused(using: str, store: OrmJobStore[Any]) -> None:
    for _ in range(4):
        make_job(using)
    with CaptureQueriesContext(connections[using]) as queries:
        assert len(claimed(store, limit=2)) == 2
    about_pauses = [query["sql"] for query in queries if "queuepause" in query["sql"]]
    assert len(about_pauses) == 1, "the condition in the statement of the claim itself"


@pytest.mark.django_db(databases=["default", "sqlite"], transaction=True)
def test_two_workers_beside_a_pause_take_different_jobs(using: str) -> None:
    """The second one is not told that there is nothing, while the first holds the first rows locked."""
    pause_queue("paused", using=using)
    jobs = {make_job(using, queue_name=f"queue-{number % 2}").id for number in range(20)}
    taken: list[Any] = []

    def claim_all() -> None:
        store, worker = OrmJobStore(Job, using=using), str(uuid4())
        while got := store.claim_jobs(worker, 3, EVERYTHING):
            taken.extend(job.id for job in got)
        connections[using].close()

    threads = [threading.Thread(target=claim_all) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(taken) == sorted(jobs)
