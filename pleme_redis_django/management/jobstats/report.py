"""The report of jobstats: each job table of the pools and the worker processes, as one value."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone

from pleme_redis_django.configured_pools import (
    ConfiguredPool,
    configured_pool,
    known_types_of_models,
    valid_pools,
)
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import AbstractJob, model_label
from pleme_redis_django.monitoring.reports import (
    FailureReason,
    JobScope,
    QueueReport,
    UnservedType,
    WorkerReport,
    count_stale_jobs,
    failure_reasons,
    queue_reports,
    unserved_types,
    worker_reports,
)
from pleme_redis_django.monitoring.storage import StorageReport, storage_report
from pleme_redis_django.monitoring.storage_warnings import storage_warnings


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the report is asked for; None: everything."""

    pool: str | None = None
    product: str | None = None
    queue_names: Collection[str] | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TableReport:
    """What one job table holds."""

    model: str
    pools: Sequence[str]
    queues: Sequence[QueueReport]
    stale: int
    stale_after_seconds: float
    failures: Sequence[FailureReason]
    unserved: Sequence[UnservedType]
    storage: StorageReport

    @property
    def counts(self) -> dict[JobStatus, int]:
        """Jobs of every status, over all queues."""
        return {status: sum(queue.counts[status] for queue in self.queues) for status in JobStatus}

    @property
    def oldest_ready_seconds(self) -> float | None:
        """Age of the ready job that waits longest; None when none is ready."""
        ages = (queue.oldest_ready_seconds for queue in self.queues)
        return max((age for age in ages if age is not None), default=None)

    @property
    def average_retries(self) -> float | None:
        """Mean retries of the completed jobs; None when there is none."""
        completed = self.counts[JobStatus.COMPLETED]
        total = sum((queue.average_retries or 0) * queue.counts[JobStatus.COMPLETED] for queue in self.queues)
        return total / completed if completed else None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that jobstats shows."""

    at: datetime
    tables: Sequence[TableReport]
    workers: Sequence[WorkerReport]

    @property
    def alive(self) -> int:
        """Worker processes whose lease lasts."""
        return sum(worker.is_alive for worker in self.workers)


def gather(question: Question) -> Report:
    """Ask the database: four queries a table, three about its storage, and one for the workers.

    Raises InvalidSettings for a pool that is unknown or cannot be built.
    """
    pools = list(valid_pools()) if question.pool is None else [configured_pool(question.pool)]
    tables: dict[type[AbstractJob], list[ConfiguredPool]] = {}
    for parts in pools:
        tables.setdefault(parts.model, []).append(parts)
    names = {parts.name for parts in pools}
    known_types = known_types_of_models()
    return Report(
        at=timezone.now(),
        tables=[_table(model, of_model, question, known_types[model]) for model, of_model in tables.items()],
        workers=[
            worker for worker in worker_reports() if question.pool is None or worker.worker.pool in names
        ],
    )


def _table(
    model: type[AbstractJob],
    pools: Sequence[ConfiguredPool],
    question: Question,
    known: Collection[str] | None,
) -> TableReport:
    scope = _scope(model, pools, question)
    stale_after = min(parts.config.stale_job_threshold_seconds for parts in pools)
    return TableReport(
        model=model_label(model),
        pools=[parts.name for parts in pools],
        queues=queue_reports(scope),
        stale=count_stale_jobs(scope, threshold_seconds=stale_after),
        stale_after_seconds=stale_after,
        failures=failure_reasons(scope),
        unserved=[] if known is None else unserved_types(known, scope),
        storage=storage_report(model),
    )


def _scope(model: type[AbstractJob], pools: Sequence[ConfiguredPool], question: Question) -> JobScope:
    product, queue_names = question.product, question.queue_names
    if question.pool is not None:
        config = pools[0].config
        product = product or config.product
        queue_names = queue_names or config.queue_names
    return JobScope(model=model, product=product, queue_names=queue_names)


def as_json(report: Report, exceeded: Iterable[str]) -> dict[str, Any]:
    """Return the report as JSON values; durations are seconds."""
    return {
        "at": report.at.isoformat(),
        "tables": [_table_as_json(table) for table in report.tables],
        "workers": {
            "alive": report.alive,
            "dead": len(report.workers) - report.alive,
            "processes": [_worker_as_json(worker) for worker in report.workers],
        },
        "exceeded": list(exceeded),
    }


def _table_as_json(table: TableReport) -> dict[str, Any]:
    return {
        "model": table.model,
        "pools": list(table.pools),
        "counts": table.counts,
        "oldest_ready_seconds": table.oldest_ready_seconds,
        "average_retries": table.average_retries,
        "stale": {"jobs": table.stale, "after_seconds": table.stale_after_seconds},
        "queues": [dataclasses.asdict(queue) for queue in table.queues],
        "failure_reasons": [
            dataclasses.asdict(reason)
            | {"last_failed_at": reason.last_failed_at and reason.last_failed_at.isoformat()}
            for reason in table.failures
        ],
        "unserved_types": [dataclasses.asdict(unserved) for unserved in table.unserved],
        "storage": {
            **table.storage.as_json(),
            "warnings": [dataclasses.asdict(warning) for warning in storage_warnings(table.storage)],
        },
    }


def _worker_as_json(report: WorkerReport) -> dict[str, Any]:
    worker = report.worker
    return {
        "id": str(worker.id),
        "alive": report.is_alive,
        "silent_seconds": report.silent_seconds,
        "pool": worker.pool,
        "host": worker.host,
        "pid": worker.pid,
        "queues": worker.queues,
        "product": worker.product or None,
        "running": worker.running,
        "slots": worker.slots,
        "release": worker.release,
    }
