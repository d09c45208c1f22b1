"""What an operator does to stored jobs, queues and workers, as fenced updates.

The queryset selects the rows, and so the products; an operation only narrows it to jobs that it may change. It
writes to the queryset's database (``.using()``), else to that of the settings. Whoever else changes a row at the
same moment, the status is asked for by the UPDATE itself. Every operation has an async twin with the prefix ``a``;
workers are woken after the commit.
"""

from pleme_redis_django.jobs.interface.job import WAITING_STATUSES
from pleme_redis_django.operations.endings import (
    RETRYABLE_STATUSES,
    CancelResult,
    acancel_jobs,
    adelete_jobs,
    aretry_jobs,
    cancel_jobs,
    cancellable_jobs,
    deletable_jobs,
    delete_jobs,
    retry_jobs,
    retryable_jobs,
)
from pleme_redis_django.operations.limits import areset_limit, aset_limit, reset_limit, set_limit
from pleme_redis_django.operations.pauses import (
    apause_queue,
    apaused_queues,
    aresume_queue,
    pause_queue,
    paused_queues,
    resume_queue,
)
from pleme_redis_django.operations.turns import askip_in_line, skip_in_line, skippable_jobs
from pleme_redis_django.operations.waiting_jobs import (
    achange_priority,
    achange_queue,
    areschedule_jobs,
    arun_jobs_now,
    change_priority,
    change_queue,
    reschedulable_jobs,
    reschedule_jobs,
    run_jobs_now,
    runnable_jobs,
)
from pleme_redis_django.operations.workers import adrain_worker, drain_worker

__all__ = [
    "RETRYABLE_STATUSES",
    "WAITING_STATUSES",
    "CancelResult",
    "acancel_jobs",
    "achange_priority",
    "achange_queue",
    "adelete_jobs",
    "adrain_worker",
    "apause_queue",
    "apaused_queues",
    "areschedule_jobs",
    "areset_limit",
    "aresume_queue",
    "aretry_jobs",
    "arun_jobs_now",
    "aset_limit",
    "askip_in_line",
    "cancel_jobs",
    "cancellable_jobs",
    "change_priority",
    "change_queue",
    "deletable_jobs",
    "delete_jobs",
    "drain_worker",
    "pause_queue",
    "paused_queues",
    "reschedulable_jobs",
    "reschedule_jobs",
    "reset_limit",
    "resume_queue",
    "retry_jobs",
    "retryable_jobs",
    "run_jobs_now",
    "runnable_jobs",
    "set_limit",
    "skip_in_line",
    "skippable_jobs",
]
