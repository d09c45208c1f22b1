"""The worker processes of a job table, as figures of those that a scope may see."""

from __future__ import annotations

from pleme_redis_django.access.product_scope import EVERY_PRODUCT, ProductScope
from pleme_redis_django.models import AbstractJob, Job
from pleme_redis_django.monitoring.figures import WorkerFigures, WorkerState
from pleme_redis_django.monitoring.reports import WorkerReport, worker_reports


def worker_figures(
    scope: ProductScope = EVERY_PRODUCT, *, model: type[AbstractJob] = Job
) -> list[WorkerFigures]:
    """Return the model's worker processes that serve products of the scope; dead ones are known for a day."""
    return [
        _worker(report) for report in worker_reports(model=model) if is_visible(report.worker.product, scope)
    ]


def is_visible(product: str, scope: ProductScope) -> bool:
    """Whether a pause or a worker is the scope's to see; without a product it is one of every product."""
    return scope.allows(product) if product else scope.sees_shared


def _worker(report: WorkerReport) -> WorkerFigures:
    worker = report.worker
    return WorkerFigures(
        id=worker.id,
        pool=worker.pool,
        host=worker.host,
        pid=worker.pid,
        release=worker.release,
        slots=worker.slots,
        running=worker.running,
        state=_state(report),
        silent_seconds=round(report.silent_seconds, 1),
        queues=tuple(map(str, worker.queues)),
        product=worker.product,
        started_at=worker.started_at,
        async_slots=worker.async_slots,
        async_running=worker.async_running,
        is_quarantine=worker.is_quarantine,
        drain_reason=worker.drain_reason,
    )


def _state(report: WorkerReport) -> WorkerState:
    if not report.is_alive:
        return "dead"
    return "draining" if report.worker.is_draining else "alive"
