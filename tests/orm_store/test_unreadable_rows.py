"""Rows that PostgreSQL keeps and Python cannot load: they end alone, and the queue goes on."""

from __future__ import annotations

import uuid

import pytest
from django.db import DataError, connection

from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import Job
from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.unreadable_rows import end_unreadable_jobs
from tests.rows import make_job

pytestmark = pytest.mark.django_db(transaction=True)

EVERYTHING = JobSelection()


@pytest.fixture(params=["0001-01-01 00:00:00+00 BC", "-infinity"])
def unreadable(request: pytest.FixtureRequest) -> uuid.UUID:
    job = make_job()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE pleme_redis_django_job SET run_after = %s WHERE id = %s", [request.param, job.pk]
        )
    return uuid.UUID(str(job.pk))


@pytest.mark.parametrize("status", [JobStatus.BLOCKED, JobStatus.PENDING, JobStatus.RUNNING])
def test_what_waits_or_runs_and_cannot_be_loaded_ends_with_it(
    unreadable: uuid.UUID, status: JobStatus
) -> None:
    gate = "k:default:stripe" if status is JobStatus.BLOCKED else None
    Job.objects.filter(pk=unreadable).update(status=status, blocked_on=gate)
    assert end_unreadable_jobs(JobTable(Job, "default")) == 1
    ended = Job.objects.get(pk=unreadable)
    assert (ended.status, ended.blocked_on) == (JobStatus.FAILED, None)


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
