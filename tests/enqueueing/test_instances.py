"""enqueue() of an instance of a job model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pleme_redis_django import InvalidParameters, Job, JobStatus, enqueue
from pleme_redis_django.exceptions import EnqueueError
from tests.workload.jobs import noop

pytestmark = pytest.mark.django_db


def new_job(**fields: Any) -> Job:
    return Job(job_type=noop.name, **fields)


def test_an_instance_is_ready_at_once_and_gets_the_default_product() -> None:
    job = enqueue(new_job())
    assert (job.status, job.product) == (JobStatus.QUEUED, "default")


def test_what_the_database_filled_in_can_be_read() -> None:
    job = enqueue(new_job())
    assert isinstance(job.created_at, datetime)
    assert isinstance(job.run_after, datetime)


def test_an_instance_with_a_due_time_waits_for_it() -> None:
    job = enqueue(new_job(run_after=datetime.now(UTC) + timedelta(hours=1)))
    assert job.status == JobStatus.PENDING


def test_a_naive_due_time_is_refused() -> None:
    naive = datetime.now(UTC).replace(tzinfo=None)
    with pytest.raises(EnqueueError, match="naive"):
        enqueue(new_job(run_after=naive))
    assert not Job.objects.exists()


def test_parameters_that_json_would_change_are_refused() -> None:
    with pytest.raises(InvalidParameters, match="tuple"):
        enqueue(new_job(parameters={"pair": (1, 2)}))
    assert not Job.objects.exists()


def test_arguments_beside_an_instance_are_refused() -> None:
    with pytest.raises(EnqueueError, match="parameters"):
        enqueue(new_job(), 1)
