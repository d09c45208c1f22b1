"""BatchJobStore: the single writes of a store that writes in batches, each as a batch of one.

A store that inherits from it writes ``claim_jobs`` and ``finish_jobs``, and none of the four here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from pleme_redis_django.jobs.interface.endings import Completed, Ending, Failed, Failure, Retried
from pleme_redis_django.jobs.interface.job import JobClaim
from pleme_redis_django.jobs.interface.json_text import to_json
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.jobs.interface.store import J_co, JobStore

_EVERYTHING = JobSelection()
_NO_LIMIT = 2**31 - 1


class BatchJobStore(JobStore[J_co]):
    """A job store with batch forms of its own."""

    # The defaults of JobStore call the single forms, which here call these.
    @abstractmethod
    def claim_jobs(self, worker_id: str, limit: int, selection: JobSelection) -> Sequence[J_co]: ...

    @abstractmethod
    def finish_jobs(self, endings: Sequence[Ending]) -> Sequence[bool]: ...

    def claim_next_job(self, worker_id: str) -> J_co | None:
        jobs = self.claim_jobs(worker_id, 1, _EVERYTHING)
        return jobs[0] if jobs else None

    def mark_job_completed(self, job_id: UUID, results: Any, *, claim: JobClaim) -> bool:
        text = to_json(results, max_bytes=_NO_LIMIT)
        return self.finish_jobs([Completed(job_id=job_id, claim=claim, results_json=text)])[0]

    def mark_job_failed(
        self, job_id: UUID, error: str, details: Mapping[str, Any], *, claim: JobClaim
    ) -> bool:
        ending = Failed(job_id=job_id, claim=claim, failure=_failure(error, details))
        return self.finish_jobs([ending])[0]

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
        ending = Retried(
            job_id=job_id,
            claim=claim,
            failure=_failure(error, details),
            retry_count=retry_count,
            delay_seconds=delay_seconds,
        )
        return self.finish_jobs([ending])[0]


def _failure(error: str, details: Mapping[str, Any]) -> Failure:
    return Failure(
        message=error,
        error_code=str(details.get("error_code", "")),
        exception_class=str(details.get("exception_class", "")),
        traceback=str(details.get("traceback", "")),
        fingerprint=str(details.get("fingerprint", "")),
    )
