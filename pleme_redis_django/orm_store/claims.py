"""Claims: ready rows that become a worker's own."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from pleme_redis_django.jobs.definitions.uniqueness import waits_only
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.orm_store.claim_request import ClaimRequest
from pleme_redis_django.orm_store.connection import writing
from pleme_redis_django.orm_store.dialects.dialect import Dialect
from pleme_redis_django.orm_store.fairness.claims import claim_fairly
from pleme_redis_django.orm_store.fairness.rotation import Rotation
from pleme_redis_django.orm_store.job_table import JobTable, M
from pleme_redis_django.orm_store.lookups import any_of
from pleme_redis_django.orm_store.pauses import is_closed


def claim_jobs(
    dialect: Dialect, table: JobTable[M], request: ClaimRequest, rotation: Rotation | None = None
) -> list[M]:
    """Claim up to ``limit`` ready rows; return them in claim order, or, with a rotation, as the products have turns.

    Nothing when there is a pause that the request does not have.
    """
    if is_closed(request.selection, request.pauses):
        return []
    jobs = claim_fairly(dialect, table, request, rotation) if rotation else dialect.claim(table, request)
    _mark_taken(jobs, _id_of(request.worker_id))
    return jobs


def free_unique_slots(table: JobTable[M], worker_id: str, starting: Iterable[M]) -> None:
    """Free the slots of those claimed jobs that keep equal ones out until they start, before their handlers do.

    The commit waits for the disk, where there is one such job: after a crash of the database server an enqueue would
    meet a job that has started long since, and be lost. Nor does it wait for long where somebody holds such a row: it
    fails, and the process finds the jobs as its own that it does not run.
    """
    holding = [job for job in starting if waits_only(job.unique_slot)]
    if holding:
        mine = table.running().filter(any_of("id", [job.id for job in holding]), worker_id=worker_id)
        with writing(table.using):
            mine.update(unique_slot=None)
    for job in holding:
        job.unique_slot = None


def _mark_taken(jobs: Iterable[Any], worker_id: UUID) -> None:
    running = JobStatus.RUNNING
    for job in jobs:
        job.status, job.worker_id = running, worker_id
        if job.expires_at is not None:
            # By the database's clock at the claim: a worker's own says nothing about a time of the row.
            job.expires_in_seconds = (job.expires_at - job.run_after).total_seconds() - job.waited_seconds


# The same object for all claims of a worker: two UUIDs are compared in Python, and its text is looked up for each job.
_id_of = functools.lru_cache(maxsize=64)(UUID)
