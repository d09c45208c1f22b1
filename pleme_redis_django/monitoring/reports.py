"""What the job tables hold: counts, ages, failures and workers. Reads only, one query a function.

Deleted jobs are left out, and ages are seconds by the database's clock. A count reads every row of
its scope: right for a person at a terminal or a check once a minute, too much for a page that many
people keep open.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.db.models import Avg, Count, DurationField, ExpressionWrapper, F, Max, Min, QuerySet
from django.db.models.expressions import Combinable, CombinedExpression
from django.db.models.fields.json import KT
from django.db.models.functions import Now

from pleme_redis_django.conf import get_settings
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.jobs.interface.worker_pool_config import DEFAULT_STALE_SECONDS
from pleme_redis_django.models import AbstractJob, Job, WorkerProcess, model_label
from pleme_redis_django.orm_store.job_table import JobTable

REASONS_LIMIT = 20
STALE_LIMIT = 100


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobScope:
    """Which jobs a query looks at."""

    model: type[AbstractJob] = Job
    product: str | None = None
    """The only product; None: every product."""
    queue_names: Collection[str] | None = None
    """The only queues; None: every queue."""
    using: str | None = None
    """Database alias; None: the one of the settings."""

    def jobs(self, *statuses: JobStatus) -> QuerySet[Any]:
        """Return the jobs of the scope that are not deleted: those in one of the statuses, or all."""
        table = JobTable(self.model, self.using or get_settings().database)
        rows: QuerySet[Any] = table.existing(*statuses)
        if self.product is not None:
            rows = rows.filter(product=self.product)
        if self.queue_names is not None:
            rows = rows.filter(queue_name__in=self.queue_names)
        return rows


EVERY_JOB = JobScope()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class QueueReport:
    """What one queue of one product holds."""

    product: str
    queue_name: str
    counts: Mapping[JobStatus, int]
    """Every status, 0 included."""
    oldest_ready_seconds: float | None
    """Age of the ready job that waits longest; None when none is ready."""
    average_retries: float | None
    """Mean ``retry_count`` of its completed jobs; None when there is none."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FailureReason:
    """How many jobs ended FAILED with one error code."""

    error_code: str
    """Empty when the ending carried none."""
    jobs: int
    last_failed_at: datetime | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class UnservedType:
    """Ready jobs of a type that is not known here: an old deploy, or one that is not out yet."""

    job_type: str
    jobs: int
    oldest_seconds: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """A worker process, and whether it is alive: its lease lasts."""

    worker: WorkerProcess
    is_alive: bool
    silent_seconds: float
    """Since its last heartbeat."""


def counts_by_status(scope: JobScope = EVERY_JOB) -> dict[JobStatus, int]:
    """Return the number of jobs of every status, 0 included."""
    rows = scope.jobs().values_list("status").annotate(jobs=Count("*")).order_by()
    return _every_status(dict(rows))


def queue_reports(scope: JobScope = EVERY_JOB) -> list[QueueReport]:
    """Return what each queue of each product holds, by product and queue name."""
    rows = (
        scope.jobs()
        .values_list("product", "queue_name", "status")
        .annotate(jobs=Count("*"), age=_age(Min("run_after")), retries=Avg("retry_count"))
        .order_by("product", "queue_name")
    )
    queues: dict[tuple[str, str], dict[JobStatus, _StatusRow]] = {}
    for product, queue_name, status, *values in rows:
        queues.setdefault((product, queue_name), {})[JobStatus(status)] = _StatusRow(*values)
    return [_queue_report(*names, by_status) for names, by_status in queues.items()]


def oldest_ready_seconds(scope: JobScope = EVERY_JOB) -> float | None:
    """Return the age of the ready job that waits longest, None when none is ready."""
    ready = scope.jobs(JobStatus.QUEUED)
    age: timedelta | None = ready.aggregate(age=_age(Min("run_after")))["age"]
    return None if age is None else _seconds(age)


def average_retries(scope: JobScope = EVERY_JOB) -> float | None:
    """Return the mean ``retry_count`` of the completed jobs, None when there is none."""
    completed = scope.jobs(JobStatus.COMPLETED)
    average: float | None = completed.aggregate(average=Avg("retry_count"))["average"]
    return None if average is None else float(average)


def count_stale_jobs(scope: JobScope = EVERY_JOB, *, threshold_seconds: float = DEFAULT_STALE_SECONDS) -> int:
    """Return how many RUNNING jobs gave no sign of life for ``threshold_seconds``."""
    return _stale(scope, threshold_seconds).count()


def stale_jobs(
    scope: JobScope = EVERY_JOB, *, threshold_seconds: float = DEFAULT_STALE_SECONDS, limit: int = STALE_LIMIT
) -> list[AbstractJob]:
    """Return RUNNING jobs that gave no sign of life for ``threshold_seconds``, the most silent first."""
    return list(_stale(scope, threshold_seconds).order_by("updated_at")[:limit])


def failure_reasons(scope: JobScope = EVERY_JOB, *, limit: int = REASONS_LIMIT) -> list[FailureReason]:
    """Return the error codes of the FAILED jobs, the most frequent first."""
    rows = (
        scope.jobs(JobStatus.FAILED)
        .annotate(error_code=KT("error_details__error_code"))
        .values_list("error_code")
        .annotate(jobs=Count("*"), last=Max("failed_at"))
        .order_by("-jobs", "error_code")
    )
    return [
        FailureReason(error_code=code or "", jobs=jobs, last_failed_at=last)
        for code, jobs, last in rows[:limit]
    ]


def unserved_types(known_types: Collection[str], scope: JobScope = EVERY_JOB) -> list[UnservedType]:
    """Return the types of ready jobs that are not among ``known_types``, the most waiting first."""
    rows = (
        scope.jobs(JobStatus.QUEUED)
        .exclude(job_type__in=known_types)
        .values_list("job_type")
        .annotate(jobs=Count("*"), age=_age(Min("run_after")))
        .order_by("-jobs", "job_type")
    )
    return [UnservedType(job_type=name, jobs=jobs, oldest_seconds=_seconds(age)) for name, jobs, age in rows]


def worker_reports(*, model: type[AbstractJob] | None = None, using: str | None = None) -> list[WorkerReport]:
    """Return the worker processes, by pool and start; dead ones are known for a day.

    ``model``: those alone whose pool runs jobs of this model.
    """
    workers = workers_with_ages(using).order_by("pool", "started_at", "id")
    wanted = None if model is None else model_label(model)
    return [worker_report(worker) for worker in workers if wanted in (None, _model_of_pool(worker.pool))]


def workers_with_ages(using: str | None = None) -> QuerySet[Any]:
    """Return the worker processes, each with ``silence`` since its heartbeat and ``overdue`` since its lease."""
    rows = WorkerProcess._base_manager.using(using or get_settings().database)
    return rows.annotate(silence=_age(F("heartbeat_at")), overdue=_age(F("lease_until")))


def worker_report(worker: Any) -> WorkerReport:
    """Return whether a worker of ``workers_with_ages`` is alive."""
    return WorkerReport(
        worker=worker,
        is_alive=worker.died_at is None and worker.overdue <= timedelta(),
        silent_seconds=_seconds(worker.silence),
    )


acounts_by_status = sync_to_async(counts_by_status)
aqueue_reports = sync_to_async(queue_reports)
aoldest_ready_seconds = sync_to_async(oldest_ready_seconds)
aaverage_retries = sync_to_async(average_retries)
acount_stale_jobs = sync_to_async(count_stale_jobs)
astale_jobs = sync_to_async(stale_jobs)
afailure_reasons = sync_to_async(failure_reasons)
aunserved_types = sync_to_async(unserved_types)
aworker_reports = sync_to_async(worker_reports)


@dataclasses.dataclass(frozen=True, slots=True)
class _StatusRow:
    jobs: int
    age: timedelta
    average_retries: float


def _queue_report(product: str, queue_name: str, rows: Mapping[JobStatus, _StatusRow]) -> QueueReport:
    ready, completed = rows.get(JobStatus.QUEUED), rows.get(JobStatus.COMPLETED)
    return QueueReport(
        product=product,
        queue_name=queue_name,
        counts=_every_status({status: row.jobs for status, row in rows.items()}),
        oldest_ready_seconds=None if ready is None else _seconds(ready.age),
        average_retries=None if completed is None else float(completed.average_retries),
    )


def _every_status(counts: Mapping[Any, int]) -> dict[JobStatus, int]:
    return {status: counts.get(status, 0) for status in JobStatus}


def _stale(scope: JobScope, threshold_seconds: float) -> QuerySet[Any]:
    silent_since = Now() - timedelta(seconds=threshold_seconds)
    return scope.jobs(JobStatus.RUNNING).filter(updated_at__lt=silent_since)


def _model_of_pool(pool: str) -> str:
    """Return the label of the model whose jobs a pool runs; one that has left the settings ran ``Job``."""
    return str(get_settings().pools.get(pool, {}).get("model", model_label(Job))).lower()


def _age(since: Combinable) -> ExpressionWrapper[CombinedExpression]:
    return ExpressionWrapper(Now() - since, output_field=DurationField())


def _seconds(age: timedelta) -> float:
    # Two clocks, or rounding on SQLite, must not show a job that has waited for less than nothing.
    return max(age.total_seconds(), 0.0)
