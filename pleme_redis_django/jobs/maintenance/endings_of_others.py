"""How a job ends if its own worker did not end it: pure decisions, each of which is one ending."""

from __future__ import annotations

import random
from typing import Any

from pleme_redis_django.jobs.interface.endings import Cancelled, Ending, Failed, Failure, GivenBack, Retried
from pleme_redis_django.jobs.interface.failures import WORKER_DIED, engine_failure
from pleme_redis_django.jobs.interface.job import (
    SUSPECT_AFTER_CRASHES,
    SUSPECT_AFTER_UNSEEN_DEATHS,
    AnyJob,
    JobClaim,
)
from pleme_redis_django.jobs.interface.retry import jittered
from pleme_redis_django.jobs.interface.worker_pool_config import WorkerPoolConfig
from pleme_redis_django.jobs.worker.retry_delays import retry_delay

STALE = "stale"
# Jobs that ran together when a process died are given back spread over this time, so that they do not run
# together again. An innocent job is then unlikely to meet the job that kills a second time.
# It is short compared with a lease and with a long job.
APART_SECONDS = 10.0


def ending_after_death(
    job: AnyJob,
    claim: JobClaim,
    config: WorkerPoolConfig,
    *,
    may_have_killed: bool = False,
    apart_seconds: float = APART_SECONDS,
) -> Ending:
    """Return the ending of a job whose process died.

    ``may_have_killed``: its handler was running when the process died of itself. The first time another job
    may be the cause. After the second time the job runs alone, and a further death is its own fault.
    """
    crash_count = _crash_count(job)
    failure = engine_failure(
        WORKER_DIED, _death_notice(job, claim, crash_count, may_have_killed), job.job_type
    )
    shared: dict[str, Any] = {"job_id": job.id, "claim": claim, "failure": failure}
    if _cancel_requested(job):
        return Cancelled(**shared)
    if not may_have_killed:
        return GivenBack(**shared)
    if crash_count is None:
        # Without a count of deaths, a job that kills looks like any other.
        return _retried_or_failed(job, claim, config, failure)
    if crash_count >= SUSPECT_AFTER_CRASHES and crash_count + 1 >= config.max_crashes:
        return Failed(**shared, crashed=True)
    delay = random.uniform(0, apart_seconds)  # noqa: S311 - spreads jobs
    return GivenBack(**shared, crashed=True, delay_seconds=delay)


def ending_after_unseen_death(
    job: AnyJob, claim: JobClaim, config: WorkerPoolConfig, *, apart_seconds: float = APART_SECONDS
) -> Ending:
    """Return the ending of a job that ran when its process vanished: nobody saw that end.

    The cause is nearly always the host, the network or the database, even several times in a row: a long job
    lives through many deploys. But a job that takes down its whole container looks the same, so these deaths
    are counted.
    """
    before: int | None = getattr(job, "unseen_deaths", None)
    if before is None or _cancel_requested(job):
        return ending_after_death(job, claim, config)
    is_last = (_crash_count(job) or 0) >= SUSPECT_AFTER_CRASHES and before + 1 >= config.max_unseen_deaths
    message = _unseen_death_notice(claim, before + 1, config, is_last=is_last)
    failure = engine_failure(WORKER_DIED, message, job.job_type)
    shared: dict[str, Any] = {"job_id": job.id, "claim": claim, "failure": failure, "unseen_death": True}
    if is_last:
        return Failed(**shared)
    # The first time it is ready at once. Later it is kept apart from the job that takes hosts down, if there is one.
    delay = random.uniform(0, apart_seconds) if before else 0.0  # noqa: S311 - spreads jobs
    return GivenBack(**shared, delay_seconds=delay)


def _unseen_death_notice(claim: JobClaim, deaths: int, config: WorkerPoolConfig, *, is_last: bool) -> str:
    vanished = (
        f"The worker process {claim.worker_id} vanished while it ran this job (attempt {claim.attempt}): its host, its "
        "container or its way to the database was lost, and nobody saw how."
    )
    if deaths > 1:
        vanished += f" It was number {deaths} in a row."
    if is_last:
        return (
            f"{vanished} It ran alone at the last ones, and max_unseen_deaths is {config.max_unseen_deaths}. Look for "
            "the kernel's out-of-memory log, and for restarts of the hosts. Once the cause is gone, it can be retried."
        )
    if deaths < SUSPECT_AFTER_UNSEEN_DEATHS:
        return f"{vanished} It runs again."
    return f"{vanished} It runs again, alone: it may be what takes them along."


def _crash_count(job: AnyJob) -> int | None:
    # A store of only the eleven methods counts no deaths.
    return getattr(job, "crash_count", None)


def _cancel_requested(job: AnyJob) -> bool:
    # A store of only the eleven methods knows of no requests.
    return getattr(job, "cancel_requested", False)


def _death_notice(job: AnyJob, claim: JobClaim, crash_count: int | None, may_have_killed: bool) -> str:
    died = f"The worker process {claim.worker_id} died while it held this job (attempt {claim.attempt})."
    if _cancel_requested(job):
        return f"{died} The job had been asked to end, and does not run again."
    look = "Look for SIGKILL, the kernel's out-of-memory log, or a crash in a C extension."
    if not may_have_killed:
        return f"{died} Nothing says that the job was the cause: it runs again, and nothing is charged."
    if crash_count is None:
        return f"{died[:-2]}, retry {job.retry_count} of {job.max_retries}). {look}"
    if crash_count >= SUSPECT_AFTER_CRASHES:
        unseen = getattr(job, "unseen_deaths", 0)
        before = f"{unseen} in a row that had vanished" if unseen else f"{crash_count} that had died"
        return (
            f"The worker process {claim.worker_id} died while it ran this job alone (attempt {claim.attempt}), after "
            f"{before} while it ran. {look}"
        )
    again = "It runs again" if crash_count + 1 < SUSPECT_AFTER_CRASHES else "It runs again, alone"
    return (
        f"The worker process {claim.worker_id} died while it ran this job and maybe others (attempt "
        f"{claim.attempt}). {again}, to find out which of them it was."
    )


def ending_of_stale(job: AnyJob, claim: JobClaim, config: WorkerPoolConfig) -> Ending:
    """Return the ending of a job that gave no sign of life for too long."""
    message = (
        f"No progress for {config.stale_job_threshold_seconds:,.0f} s (attempt {claim.attempt}, retry "
        f"{job.retry_count} of {job.max_retries}, worker {claim.worker_id}). A long job calls ctx.progress(), or its "
        "pool has a larger stale_job_threshold_seconds."
    )
    return _retried_or_failed(job, claim, config, engine_failure(STALE, message, job.job_type))


def _retried_or_failed(job: AnyJob, claim: JobClaim, config: WorkerPoolConfig, failure: Failure) -> Ending:
    shared: dict[str, Any] = {"job_id": job.id, "claim": claim, "failure": failure}
    if _cancel_requested(job):
        return Cancelled(**shared)
    if not job.can_retry():
        return Failed(**shared)
    delay = jittered(retry_delay(job, config))
    return Retried(**shared, retry_count=job.retry_count + 1, delay_seconds=delay)
