"""Rows that PostgreSQL keeps and Python cannot load: they end alone, and the queue goes on."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import DataError, connection

from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import Job
from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.unreadable_rows import end_unreadable_jobs
from tests.rows import ago, make_job

pytestmark = pytest.mark.django_db(transaction=True)

EVERYTHING = JobSelection()


@pytest.fixture(params=["0001-01-01 00:00:00+00 BC", "-infinity"])
def unreadable(request: pytest.FixtureRequest) -> uuid.UUID:
    job = make_job()
    set_by_hand("run_after", request.param, job)
    return uuid.UUID(str(job.pk))


def set_by_hand(column: str, value: str, *jobs: Job) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {Job._meta.db_table} SET {column} = %s WHERE id = ANY(%s)",
            [value, [job.pk for job in jobs]],
        )


def running(worker_id: str) -> dict[str, Any]:
    return {"status": JobStatus.RUNNING, "worker_id": worker_id, "attempt": 1}


@pytest.mark.parametrize("status", [JobStatus.BLOCKED, JobStatus.PENDING, JobStatus.RUNNING])
def test_what_waits_or_runs_and_cannot_be_loaded_ends_with_it(
    unreadable: uuid.UUID, status: JobStatus
) -> None:
    gate = "k:default:stripe" if status is JobStatus.BLOCKED else None
    Job.objects.filter(pk=unreadable).update(status=status, blocked_on=gate)
    assert end_unreadable_jobs(JobTable(Job, "default")) == 1
    ended = Job.objects.get(pk=unreadable)
    assert (ended.status, ended.blocked_on) == (JobStatus.FAILED, None)


@pytest.mark.parametrize("column", ["run_after", "expires_at"])
@pytest.mark.parametrize("name", ["of the dead", "stale"])
def test_what_others_held_is_found_beside_a_row_that_cannot_be_loaded(name: str, column: str) -> None:
    store, worker_ids = OrmJobStore(Job), [str(uuid.uuid4()) for _ in range(3)]
    unloadable, other, alive = (make_job(**running(worker_id)) for worker_id in worker_ids)
    set_by_hand(column, "infinity", unloadable, alive)
    Job.objects.filter(pk__in=[unloadable.pk, other.pk]).update(updated_at=ago(60))
    found = {
        "of the dead": lambda: store.find_jobs_of(worker_ids[:2]),
        "stale": lambda: store.find_stale_jobs(30),
    }[name]()
    assert [job.id for job in found] == [other.pk]
    ended = Job.objects.get(pk=unloadable.pk)
    assert (ended.status, ended.error_details) == (JobStatus.FAILED, {"error_code": "unreadable_row"})
    assert Job.objects.only("status").get(pk=alive.pk).status == JobStatus.RUNNING, "Nobody asked for it."


def test_a_job_whose_deadline_cannot_be_loaded_ends() -> None:
    job = make_job()
    set_by_hand("expires_at", "infinity", job)
    store = OrmJobStore(Job)
    with pytest.raises(DataError):
        store.claim_jobs(str(uuid.uuid4()), 10, EVERYTHING)
    ended = Job.objects.get(pk=job.pk)
    assert (ended.status, ended.expires_at) == (JobStatus.FAILED, None)


def test_what_is_never_due_is_not_waited_for() -> None:
    never = make_job(status=JobStatus.PENDING)
    set_by_hand("run_after", "infinity", never)
    store = OrmJobStore(Job)
    assert store.look_ahead(EVERYTHING).due_in_seconds is None, "A burst would never end."
    make_job(status=JobStatus.PENDING, run_after=ago(-60))
    due_in = store.look_ahead(EVERYTHING).due_in_seconds
    assert due_in is not None and due_in <= 60


def test_a_row_that_cannot_be_loaded_ends_alone(unreadable: uuid.UUID) -> None:
    readable = make_job()
    store, worker_id = OrmJobStore(Job), str(uuid.uuid4())
    with pytest.raises(DataError):
        store.claim_jobs(worker_id, 10, EVERYTHING)
    ended = Job.objects.get(pk=unreadable)
    assert ended.status == JobStatus.FAILED
    assert (
        ended.error_details == {"error_code": "unreadable_row"}
        and "Enqueue the job again" in ended.error_message
    )
    # The claim was committed: its process finds the other job among its lost claims, and gives it back.
    other = Job.objects.get(pk=readable.pk)
    assert (other.status, str(other.worker_id)) == (JobStatus.RUNNING, worker_id)
    make_job()
    assert len(store.claim_jobs(worker_id, 10, EVERYTHING)) == 1
