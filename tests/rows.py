"""Rows of jobs and workers as tests want them: written past the engine, in any state and of any age."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models.functions import Now

from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import AbstractJob, Job, JobAttempt, WorkerProcess, model_label

BACKENDS = ["default", "sqlite"]


def make_job(using: str = "default", *, model: type[AbstractJob] = Job, **fields: Any) -> Any:
    """Store a job; QUEUED, of product "default" and type "tests.noop" unless the fields say otherwise."""
    values = {"product": "default", "job_type": "tests.noop", **fields}
    job = model._base_manager.using(using).create(**values)
    job.refresh_from_db()
    return job


def make_jobs(count: int, **fields: Any) -> None:
    """Store that many jobs that differ only in their ids, on PostgreSQL: one statement copies the first.

    Made one by one, as for ``bulk_create``, five thousand take some seconds.
    """
    job = make_job(**fields)
    columns = ", ".join(field.column for field in Job._meta.concrete_fields if not field.primary_key)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {Job._meta.db_table} (id, {columns}) SELECT uuidv7(), {columns}"
            f" FROM {Job._meta.db_table}, generate_series(2, %s) WHERE id = %s",
            [count, job.pk],
        )


def make_failed_job(using: str = "default", error_code: str = "provider_error", **fields: Any) -> Any:
    """Store a job that has used up its retries."""
    ended = {
        "status": JobStatus.FAILED,
        "retry_count": 3,
        "attempt": 4,
        "failed_at": ago(60),
        "error_message": "the provider is away",
        "error_details": {"error_code": error_code, "exception_class": "shop.errors.Away"},
    }
    return make_job(using, **(ended | fields))


def make_attempt(job: AbstractJob, attempt: int = 1, **fields: Any) -> JobAttempt:
    """Store a failed attempt of the job, on the job's database."""
    values = {"worker_id": uuid.uuid4(), "error_code": "provider_error", "message": "away", **fields}
    return JobAttempt._base_manager.using(job._state.db).create(
        job_model=model_label(job), job_id=job.pk, product=job.product, attempt=attempt, **values
    )


def make_worker(using: str = "default", **fields: Any) -> WorkerProcess:
    """Store a worker process with a fresh heartbeat."""
    values = {"pool": "default", "host": "web-1", "pid": 4242, "slots": 5, "queues": ["*"]}
    values |= {"lease_until": Now() + timedelta(seconds=25), **fields}
    return WorkerProcess._base_manager.using(using).create(**values)


def ago(seconds: float) -> Any:
    """Return a time before the database's now."""
    return Now() - timedelta(seconds=seconds)
