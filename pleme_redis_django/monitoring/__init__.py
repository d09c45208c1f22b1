"""Monitoring: counts, ages, failures by cause, why a job waits, and the dashboard's figures. Reads only.

A page or a script asks the database as it is now (``reports``, ``why_waiting``, ``failure_groups``, ``storage``), or
what the worker processes have measured (``snapshot``, ``series``), for which nothing is counted.
"""

from pleme_redis_django.jobs.interface.worker_pool_config import DEFAULT_STALE_SECONDS
from pleme_redis_django.monitoring.reports import (
    EVERY_JOB,
    REASONS_LIMIT,
    STALE_LIMIT,
    FailureReason,
    JobScope,
    QueueReport,
    UnservedType,
    WorkerReport,
    aaverage_retries,
    acount_stale_jobs,
    acounts_by_status,
    afailure_reasons,
    aoldest_ready_seconds,
    aqueue_reports,
    astale_jobs,
    aunserved_types,
    average_retries,
    aworker_reports,
    count_stale_jobs,
    counts_by_status,
    failure_reasons,
    oldest_ready_seconds,
    queue_reports,
    stale_jobs,
    unserved_types,
    worker_report,
    worker_reports,
    workers_with_ages,
)
from pleme_redis_django.monitoring.storage import StorageReport, astorage_report, storage_report
from pleme_redis_django.monitoring.waiting_row import WaitReason
from pleme_redis_django.monitoring.why_waiting import why_waiting

__all__ = [
    "DEFAULT_STALE_SECONDS",
    "EVERY_JOB",
    "REASONS_LIMIT",
    "STALE_LIMIT",
    "FailureReason",
    "JobScope",
    "QueueReport",
    "StorageReport",
    "UnservedType",
    "WaitReason",
    "WorkerReport",
    "aaverage_retries",
    "acount_stale_jobs",
    "acounts_by_status",
    "afailure_reasons",
    "aoldest_ready_seconds",
    "aqueue_reports",
    "astale_jobs",
    "astorage_report",
    "aunserved_types",
    "average_retries",
    "aworker_reports",
    "count_stale_jobs",
    "counts_by_status",
    "failure_reasons",
    "oldest_ready_seconds",
    "queue_reports",
    "stale_jobs",
    "storage_report",
    "unserved_types",
    "why_waiting",
    "worker_report",
    "worker_reports",
    "workers_with_ages",
]
