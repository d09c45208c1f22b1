"""What becomes of a job that its worker did not end: pure decisions, one ending each."""

from __future__ import annotations

from typing import Any

from pleme_redis_django.jobs.endings import Cancelled, Ending, Failed, Failure, GivenBack, Retried
from pleme_redis_django.jobs.failures import engine_failure
from pleme_redis_django.jobs.job import Job, JobClaim
from pleme_redis_django.jobs.retry import jittered
from pleme_redis_django.jobs.runner import retry_delay
from pleme_redis_django.jobs.worker_pool_config import WorkerPoolConfig

WORKER_DIED = "worker_died"
STALE = "stale"


def ending_after_death(job: Job, claim: JobClaim, config: WorkerPoolConfig) -> Ending:
    """Return the ending of a job whose process died.

    The first death makes it a suspect and costs nothing: any of the process's jobs may have done
    it. A suspect runs alone, so its second death is its own, if its handler had started.
    """
    crash_count: int | None = getattr(job, "crash_count", None)
    failure = engine_failure(WORKER_DIED, _death_notice(job, claim, crash_count), job.job_type)
    if _cancel_requested(job):
        return Cancelled(job_id=job.id, claim=claim, failure=failure)
    if crash_count == 0:
        return GivenBack(job_id=job.id, claim=claim, crashed=True, failure=failure)
    if crash_count and getattr(job, "started_at", None) is None:
        return GivenBack(job_id=job.id, claim=claim)
    return _retried_or_failed(job, claim, config, failure, crashed=True)


def _cancel_requested(job: Job) -> bool:
    # A store of only the eleven methods knows of no requests.
    return getattr(job, "cancel_requested", False)


def _death_notice(job: Job, claim: JobClaim, crash_count: int | None) -> str:
    if _cancel_requested(job):
        return (
            f"The worker process {claim.worker_id} died while it held this job (attempt {claim.attempt}). The job had "
            "been asked to end, and does not run again."
        )
    if crash_count == 0:
        return (
            f"The worker process {claim.worker_id} died while it held this job and maybe others (attempt "
            f"{claim.attempt}). The job runs again, alone, to find out which of them it was."
        )
    alone = " while it ran this job alone" if crash_count else ""
    return (
        f"The worker process {claim.worker_id} died{alone} (attempt {claim.attempt}, retry {job.retry_count} of "
        f"{job.max_retries}). Look for SIGKILL, the kernel's out-of-memory log, or a crash in a C extension."
    )


def ending_of_stale(job: Job, claim: JobClaim, config: WorkerPoolConfig) -> Ending:
    """Return the ending of a job that gave no sign of life for too long."""
    message = (
        f"No progress for {config.stale_job_threshold_seconds:,.0f} s (attempt {claim.attempt}, retry "
        f"{job.retry_count} of {job.max_retries}, worker {claim.worker_id}). A long job calls ctx.progress(), or its "
        "pool has a larger stale_job_threshold_seconds."
    )
    return _retried_or_failed(job, claim, config, engine_failure(STALE, message, job.job_type), crashed=False)


def _retried_or_failed(
    job: Job, claim: JobClaim, config: WorkerPoolConfig, failure: Failure, *, crashed: bool
) -> Ending:
    shared: dict[str, Any] = {"job_id": job.id, "claim": claim, "failure": failure}
    if _cancel_requested(job):
        return Cancelled(**shared)
    if not job.can_retry():
        return Failed(**shared)
    delay = jittered(retry_delay(job, config))
    return Retried(**shared, retry_count=job.retry_count + 1, delay_seconds=delay, crashed=crashed)
