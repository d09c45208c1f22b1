"""Step 3 of a job queue of one's own: the store, written by hand in SQL.

It inherits from none of the stores that the package ships, only from the protocol, whose batch
forms call the eleven methods below. Every write by a worker is fenced: it names the worker and the
attempt, so that a worker that was declared dead changes nothing when it continues. The suite
``pleme_redis_django.testing.JobStoreContract`` proves it.

PostgreSQL only. Times are the database's: statement_timestamp(), which unlike now() moves on
inside of a transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.db import DatabaseError, InterfaceError, close_old_connections, connections

from example_project.shop.models import EmailJob
from pleme_redis_django import JobClaim, JobNotFound, JobStore, QueuedJob

READY = """
    deleted_at IS NULL
    AND (status = 'QUEUED' OR (status = 'PENDING' AND run_after <= statement_timestamp()))
"""
FENCED = "id = %s AND status = 'RUNNING' AND worker_id = %s AND attempt = %s"

# The inner SELECT stands alone and yields one row, so that it is run once and locks one row.
CLAIM = f"""
    UPDATE shop_emailjob
    SET status = 'RUNNING', worker_id = %s, attempt = attempt + 1, started_at = NULL,
        claimed_at = statement_timestamp(), updated_at = statement_timestamp()
    WHERE id = (
        SELECT id FROM shop_emailjob WHERE {READY}
        ORDER BY priority DESC, run_after, id LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING *
"""
START = f"""
    UPDATE shop_emailjob
    SET started_at = COALESCE(started_at, statement_timestamp()), updated_at = statement_timestamp()
    WHERE {FENCED}
"""
COMPLETE = f"""
    UPDATE shop_emailjob
    SET status = 'COMPLETED', results = %s, error_message = '', error_details = NULL, unique_slot = NULL,
        started_at = COALESCE(started_at, claimed_at),
        completed_at = statement_timestamp(), updated_at = statement_timestamp()
    WHERE {FENCED}
"""
FAIL = f"""
    UPDATE shop_emailjob
    SET status = 'FAILED', error_message = %s, error_details = %s, unique_slot = NULL,
        failed_at = statement_timestamp(), updated_at = statement_timestamp()
    WHERE {FENCED}
"""
RETRY = f"""
    UPDATE shop_emailjob
    SET status = 'PENDING', retry_count = %s, error_message = %s, error_details = %s,
        run_after = statement_timestamp() + make_interval(secs => %s), failed_at = statement_timestamp(),
        updated_at = statement_timestamp()
    WHERE {FENCED}
"""
PROGRESS = f"""
    UPDATE shop_emailjob SET progress = %s, updated_at = statement_timestamp() WHERE {FENCED}
"""
ENDED_BEFORE = """
    SELECT 1 FROM shop_emailjob WHERE id = %s AND worker_id = %s AND attempt = %s AND status = %s
"""
ORPHANS = f"""
    SELECT id, product, job_type, retry_count, max_retries, created_at FROM shop_emailjob
    WHERE {READY} AND updated_at < statement_timestamp() - interval '30 seconds'
    ORDER BY id LIMIT 1000
"""
STALE = """
    SELECT * FROM shop_emailjob
    WHERE status = 'RUNNING' AND updated_at <= statement_timestamp() - make_interval(secs => %s)
    ORDER BY id
"""


# mypy checks the arguments of a base class before it has inferred the types of a model's fields.
class EmailJobStore(JobStore[EmailJob]):  # type: ignore[type-var]  # as above
    """E-mail jobs in the table shop_emailjob."""

    def __init__(self, *, using: str = "default") -> None:
        self.using = using

    def claim_next_job(self, worker_id: str) -> EmailJob | None:
        return next(iter(self._jobs(CLAIM, [worker_id])), None)

    def load_job(self, job_id: UUID) -> EmailJob:
        for job in self._jobs("SELECT * FROM shop_emailjob WHERE id = %s AND deleted_at IS NULL", [job_id]):
            return job
        raise JobNotFound(job_id)

    def is_job_deleted(self, job_id: UUID) -> bool:
        return not self._rows("SELECT 1 FROM shop_emailjob WHERE id = %s AND deleted_at IS NULL", [job_id])

    def mark_job_running(self, job_id: UUID, *, claim: JobClaim) -> bool:
        return self._change(START, [], job_id, claim)

    def mark_job_completed(self, job_id: UUID, results: Any, *, claim: JobClaim) -> bool:
        return self._end("COMPLETED", COMPLETE, [_json(results)], job_id, claim)

    def mark_job_failed(
        self, job_id: UUID, error: str, details: Mapping[str, Any], *, claim: JobClaim
    ) -> bool:
        return self._end("FAILED", FAIL, [error, _json(details)], job_id, claim)

    def schedule_retry(
        self,
        job_id: UUID,
        retry_count: int,
        delay_seconds: float,
        error: str,
        details: Mapping[str, Any],
        *,
        claim: JobClaim,
    ) -> bool:
        values = [retry_count, error, _json(details), delay_seconds]
        return self._end("PENDING", RETRY, values, job_id, claim)

    def find_orphaned_jobs(self) -> Sequence[QueuedJob]:
        fields = ("job_id", "product", "job_type", "retry_count", "max_retries", "enqueued_at")
        return [QueuedJob(**dict(zip(fields, row, strict=True))) for row in self._rows(ORPHANS, [])]

    def find_stale_jobs(self, threshold_seconds: float) -> Sequence[EmailJob]:
        return self._jobs(STALE, [threshold_seconds])

    def count_claimable_jobs(self) -> int:
        [(count,)] = self._rows(f"SELECT count(*) FROM shop_emailjob WHERE {READY}", [])
        return int(count)

    def update_progress(self, job_id: UUID, progress: Mapping[str, Any], *, claim: JobClaim) -> bool:
        return self._change(PROGRESS, [_json(progress)], job_id, claim)

    def _end(self, status: str, statement: str, values: list[Any], job_id: UUID, claim: JobClaim) -> bool:
        if self._change(statement, values, job_id, claim):
            return True
        # A caller that asks again because the first answer was lost is told that it is done.
        return bool(self._rows(ENDED_BEFORE, [job_id, claim.worker_id, claim.attempt, status]))

    def _change(self, statement: str, values: list[Any], job_id: UUID, claim: JobClaim) -> bool:
        with _dropping_broken_connections(), connections[self.using].cursor() as cursor:
            cursor.execute(statement, [*values, job_id, claim.worker_id, claim.attempt])
            return bool(cursor.rowcount)

    def _jobs(self, statement: str, values: list[Any]) -> list[EmailJob]:
        with _dropping_broken_connections():
            return list(EmailJob.objects.using(self.using).raw(statement, values))

    def _rows(self, statement: str, values: list[Any]) -> list[tuple[Any, ...]]:
        with _dropping_broken_connections(), connections[self.using].cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())


@contextmanager
def _dropping_broken_connections() -> Iterator[None]:
    """Have the next call connect again: an engine thread lives on, and no request end does it."""
    try:
        yield
    except (DatabaseError, InterfaceError):
        close_old_connections()
        raise


def _json(value: object) -> str:
    return json.dumps(value, allow_nan=False)
