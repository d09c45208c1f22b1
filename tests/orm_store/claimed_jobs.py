"""Jobs as a worker holds them, their completions, and what a call costs in statements."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from django.db import connections
from django.test.utils import CaptureQueriesContext

from pleme_redis_django.jobs.interface.endings import Completed
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import Job
from pleme_redis_django.orm_store import OrmJobStore
from tests.rows import make_job


def claimed(store: OrmJobStore[Job], count: int, **fields: Any) -> list[Job]:
    for _ in range(count):
        make_job(store.using, **fields)
    return list(store.claim_jobs(str(uuid4()), count, JobSelection()))


def completed(job: Job, **fields: Any) -> Completed:
    assert job.claim is not None
    return Completed(job_id=job.id, claim=job.claim, **fields)


def statements(using: str, call: Any) -> int:
    connections[using].ensure_connection()
    with CaptureQueriesContext(connections[using]) as queries:
        call()
    return len(queries)
