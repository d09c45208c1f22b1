"""What the row of a job becomes that was asked to end while it ran, whichever way its attempt ends."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from pleme_redis_django.jobs.interface.endings import Cancelled, Completed, Ending, Failed, GivenBack, Retried
from pleme_redis_django.jobs.interface.failures import engine_failure
from pleme_redis_django.jobs.interface.job import SUSPECT_AFTER_CRASHES, JobStatus
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import Job, JobAttempt
from pleme_redis_django.operations import cancel_jobs, delete_jobs
from pleme_redis_django.orm_store import OrmJobStore
from tests.rows import BACKENDS, make_job

pytestmark = [
    pytest.mark.django_db(databases=["default", "sqlite"]),
    pytest.mark.parametrize("using", BACKENDS),
]

WORKER = str(uuid4())
FAILURE = engine_failure("away", "the provider is away", "tests.noop")
UNFINISHED: list[tuple[type[Ending], dict[str, Any]]] = [
    (Retried, {"failure": FAILURE, "retry_count": 1, "delay_seconds": 60.0}),
    (GivenBack, {}),
    (GivenBack, {"failure": FAILURE, "crashed": True}),
    (GivenBack, {"delay_seconds": 5.0}),
]


@pytest.fixture
def store(using: str) -> OrmJobStore[Any]:
    return OrmJobStore(Job, using=using)


def asked_to_end(using: str, store: OrmJobStore[Any], **fields: Any) -> Any:
    """Return a claimed job whose cancel was requested after the claim."""
    make_job(using, **fields)
    job = store.claim_next_job(WORKER)
    assert job is not None
    assert cancel_jobs(Job.objects.using(using)).requested == 1
    return job


@pytest.mark.parametrize(("kind", "fields"), UNFINISHED)
def test_what_would_run_again_is_cancelled(
    using: str, store: OrmJobStore[Any], kind: Any, fields: dict[str, Any]
) -> None:
    job = asked_to_end(using, store, unique_slot="r:0123")
    ending = kind(job_id=job.id, claim=job.claim, **fields)
    assert store.finish_jobs([ending]) == [True]
    row = Job.objects.using(using).get()
    assert (row.status, row.unique_slot) == (JobStatus.CANCELLED, None)
    assert row.failed_at is not None
    assert store.finish_jobs([ending]) == [True], "its first reply may have been lost"
    assert store.promote_due_jobs(10) == 0
    assert store.claim_next_job(WORKER) is None
    kept = JobAttempt.objects.using(using).filter(job_id=job.id, attempt=1).count()
    assert kept == ("failure" in fields)


@pytest.mark.parametrize(
    ("kind", "fields", "status"),
    [
        (Completed, {"results_json": "1"}, JobStatus.COMPLETED),
        (Failed, {"failure": FAILURE}, JobStatus.FAILED),
        (Cancelled, {"failure": FAILURE, "run_seconds": 0.5}, JobStatus.CANCELLED),
    ],
)
def test_an_end_for_good_stands(
    using: str, store: OrmJobStore[Any], kind: Any, fields: dict[str, Any], status: JobStatus
) -> None:
    job = asked_to_end(using, store)
    assert store.finish_jobs([kind(job_id=job.id, claim=job.claim, **fields)]) == [True]
    row = Job.objects.using(using).get()
    assert row.status == status
    assert row.started_at is not None


def test_a_job_that_was_cancelled_before_it_started_has_no_start(using: str, store: OrmJobStore[Any]) -> None:
    job = asked_to_end(using, store)
    store.finish_jobs([Cancelled(job_id=job.id, claim=job.claim, failure=FAILURE)])
    row = Job.objects.using(using).get()
    assert (row.status, row.started_at) == (JobStatus.CANCELLED, None)


@pytest.mark.parametrize(("kind", "fields"), UNFINISHED)
def test_without_a_request_it_runs_again(
    using: str, store: OrmJobStore[Any], kind: Any, fields: dict[str, Any]
) -> None:
    make_job(using, unique_slot="r:0123")
    job = store.claim_next_job(WORKER)
    assert job is not None
    store.finish_jobs([kind(job_id=job.id, claim=job.claim, **fields)])
    row = Job.objects.using(using).get()
    waits = JobStatus.PENDING if fields.get("delay_seconds") else JobStatus.QUEUED
    assert (row.status, row.unique_slot) == (waits, "r:0123")


def test_a_process_learns_what_was_asked_of_its_jobs(using: str, store: OrmJobStore[Any]) -> None:
    job = asked_to_end(using, store)
    delete_jobs(Job.objects.using(using))
    [row] = store.held_jobs(WORKER)
    assert (row.job_id, row.cancel_requested, row.deleted) == (job.id, True, True)
    [stale] = store.find_jobs_of([WORKER])
    assert stale.cancel_requested


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (Completed, {"results_json": "1"}),
        (Failed, {"failure": FAILURE}),
        (Retried, {"failure": FAILURE, "retry_count": 1, "delay_seconds": 60.0}),
    ],
)
def test_a_suspect_whose_process_lived_through_its_run_is_none_any_more(
    using: str, store: OrmJobStore[Any], kind: Any, fields: dict[str, Any]
) -> None:
    make_job(using, crash_count=SUSPECT_AFTER_CRASHES)
    (job,) = store.claim_jobs(WORKER, 1, JobSelection(suspects=True))
    assert store.finish_jobs([kind(job_id=job.id, claim=job.claim, **fields)]) == [True]
    assert Job.objects.using(using).get().crash_count == 0
