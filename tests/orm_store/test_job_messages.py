"""Rows that travel to another process as JSON, and are the same there."""

from __future__ import annotations

import json

import pytest

from pleme_redis_django import Job
from pleme_redis_django.exceptions import ExecutionFailed
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.orm_store.job_messages import message_of_job, reader_of_jobs
from pleme_redis_django.testing import MemoryJob
from tests.rows import ago, make_job

pytestmark = pytest.mark.django_db


def travelled(job: Job) -> Job:
    message = json.loads(json.dumps(message_of_job(job)))
    read: Job = reader_of_jobs(Job)(message)
    return read


def test_every_column_comes_back_as_it_was() -> None:
    made = make_job(
        status=JobStatus.RUNNING,
        parameters={"text": "é\n", "list": [1, 2.5, None, {"deep": True}]},
        timeout_seconds=0.1,
        started_at=ago(5),
        worker_id="11111111-1111-4111-8111-111111111111",
        attempt=3,
    )
    job = Job.objects.get(pk=made.pk)
    job.waited_seconds = 1.5
    read = travelled(job)
    for field in Job._meta.concrete_fields:
        assert getattr(read, field.attname) == getattr(job, field.attname), field.attname
    assert (read.claim, read.waited_seconds, read._state.adding) == (job.claim, 1.5, False)


def test_what_was_not_loaded_is_read_when_it_is_asked_for() -> None:
    job = Job.objects.defer("metadata", "results").get(pk=make_job(metadata={"of": "mine"}).pk)
    read = travelled(job)
    assert read.get_deferred_fields() == {"metadata", "results"}
    assert read.metadata == {"of": "mine"}


def test_what_is_no_row_is_refused() -> None:
    job = MemoryJob(job_type="shop.jobs.send")
    with pytest.raises(ExecutionFailed, match="a MemoryJob is no row that another process could be given"):
        message_of_job(job)
