"""enqueue() of an instance of a job model."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db.models import F
from django.db.models.functions import Now

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


@pytest.mark.parametrize(
    "value", [date(2099, 1, 1), 4_070_908_800, "2099-01-01", Now(), F("created_at")], ids=repr
)
def test_a_due_time_that_is_no_datetime_is_refused(value: Any) -> None:
    """It would be kept for the row alone, and the job run at once."""
    with pytest.raises(EnqueueError, match=re.escape(f"run_after is {value!r}. Accepted: a datetime")):
        enqueue(new_job(run_after=value))
    assert not Job.objects.exists()


def test_no_due_time_at_all_is_refused() -> None:
    with pytest.raises(EnqueueError, match="run_after: This field cannot be null"):
        enqueue(new_job(run_after=None))


def test_parameters_that_json_would_change_are_refused() -> None:
    with pytest.raises(InvalidParameters, match="tuple"):
        enqueue(new_job(parameters={"pair": (1, 2)}))
    assert not Job.objects.exists()


def test_arguments_beside_an_instance_are_refused() -> None:
    with pytest.raises(EnqueueError, match="parameters"):
        enqueue(new_job(), 1)
