"""Silent jobs: running jobs that have shown no sign of life for too long."""

from __future__ import annotations

from typing import Any

from pleme_redis_django.jobs.interface.endings import Ending
from pleme_redis_django.jobs.interface.events import EventSink, StaleJobsFound
from pleme_redis_django.jobs.interface.job import AnyJob, JobClaim
from pleme_redis_django.jobs.interface.store import JobStore
from pleme_redis_django.jobs.interface.worker_pool_config import WorkerPoolConfig
from pleme_redis_django.jobs.maintenance.endings_of_others import ending_of_stale
from pleme_redis_django.jobs.maintenance.rescues import Rescues


def end_silent_jobs(store: JobStore[Any], rescues: Rescues, config: WorkerPoolConfig, sink: EventSink) -> int:
    """Retry or fail the jobs without a sign of life; return how many."""

    def decide(job: AnyJob, claim: JobClaim) -> Ending:
        return ending_of_stale(job, claim, config)

    ended = rescues.end(store.find_stale_jobs(config.stale_job_threshold_seconds), decide)
    if ended:
        sink.emit(StaleJobsFound(ended))
        rescues.announce()
    return ended
