"""The database tables, a file each. Import every model from here; the store, from its own file."""

from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models.dashboard import Dashboard
from pleme_redis_django.models.election import Election
from pleme_redis_django.models.flow_limit import FlowGate, FlowLimit, FullGate, LimitKind, LimitSource
from pleme_redis_django.models.indexes import job_constraints, job_indexes
from pleme_redis_django.models.job import AbstractJob, Job, model_label, new_job_id
from pleme_redis_django.models.job_attempt import JobAttempt
from pleme_redis_django.models.metrics import QueueRollup, QueueSample, WorkerTally
from pleme_redis_django.models.queue_pause import QueuePause
from pleme_redis_django.models.schedule import Schedule, ScheduleTick
from pleme_redis_django.models.worker_process import WorkerProcess

__all__ = [
    "AbstractJob",
    "Dashboard",
    "Election",
    "FlowGate",
    "FlowLimit",
    "FullGate",
    "Job",
    "JobAttempt",
    "JobStatus",
    "LimitKind",
    "LimitSource",
    "QueuePause",
    "QueueRollup",
    "QueueSample",
    "Schedule",
    "ScheduleTick",
    "WorkerProcess",
    "WorkerTally",
    "job_constraints",
    "job_indexes",
    "model_label",
    "new_job_id",
]
