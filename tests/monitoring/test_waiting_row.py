"""What is read of a waiting job: its row, as its database has it now."""

from __future__ import annotations

import pytest

from pleme_redis_django.jobs.interface.job import WAITING_STATUSES, JobStatus
from pleme_redis_django.models import Job
from pleme_redis_django.monitoring.why_waiting import why_waiting
from pleme_redis_django.operations import delete_jobs
from tests.monitoring.waiting_jobs import TYPE, codes, only, waiting
from tests.rows import make_job, make_worker

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("status", sorted(set(JobStatus) - set(WAITING_STATUSES)))
def test_a_job_that_does_not_wait_has_no_reason(status: JobStatus) -> None:
    assert why_waiting(waiting(status=status)) == []


def test_a_deleted_job() -> None:
    make_worker()
    job = waiting()
    delete_jobs(Job.objects.all())
    reason = only(job)
    job.refresh_from_db()
    assert (reason.code, reason.since) == ("deleted", job.deleted_at)


def test_the_row_is_asked_not_the_instance() -> None:
    make_worker()
    job = Job.objects.only("id").get(pk=waiting().pk)
    Job.objects.update(status=JobStatus.RUNNING)
    assert why_waiting(job) == []


@pytest.mark.django_db(databases=["default", "sqlite"])
def test_a_job_on_another_database() -> None:
    job = make_job("sqlite", job_type=TYPE)
    assert codes(job) == ["no_worker"]
    make_worker("sqlite")
    assert codes(job) == ["next"]
