"""What the dashboard shows now: one value per scope, made of what is measured, counted and registered."""

from __future__ import annotations

from datetime import datetime

from asgiref.sync import sync_to_async
from django.utils import timezone

from pleme_redis_django.conf import get_settings
from pleme_redis_django.dashboard.depths import Depth, measure_depths
from pleme_redis_django.dashboard.failures import failure_groups
from pleme_redis_django.dashboard.figures import SPARK_POINTS, Cards, QueueFigures, Snapshot, WorkerFigures
from pleme_redis_django.dashboard.health import is_late, judge
from pleme_redis_django.dashboard.scope import EVERY_PRODUCT, ProductScope
from pleme_redis_django.models import AbstractJob, Job
from pleme_redis_django.monitoring import WorkerReport, worker_reports

QUEUES_SHOWN = WORKERS_SHOWN = 50
FAILURES_SHOWN = 10
FAILURES_READ = 5_000


def snapshot(scope: ProductScope = EVERY_PRODUCT, *, model: type[AbstractJob] = Job) -> Snapshot:
    """Return what a user of this scope sees of one job table."""
    now = timezone.now()
    settings = get_settings()
    depths = measure_depths(model, settings.database)
    queues = [
        _queue(product, name, depth, now)
        for (product, name), depth in depths.items()
        if scope.allows(product)
    ]
    queues.sort(
        key=lambda queue: (not is_late(queue, settings.dashboard_max_wait), -queue.ready, queue.queue)
    )
    workers = worker_figures(scope)
    failures = failure_groups(scope, model=model, limit=FAILURES_SHOWN, read_limit=FAILURES_READ)
    return Snapshot(
        at=now,
        sampled_at=now,
        health=judge(queues, workers, max_wait=settings.dashboard_max_wait, sampled_at=now, now=now),
        cards=_cards(queues),
        queues=tuple(queues[:QUEUES_SHOWN]),
        queue_count=len(queues),
        workers=tuple(workers[:WORKERS_SHOWN]),
        worker_count=len(workers),
        failures=failures.groups,
        failures_are_capped=failures.is_capped,
    )


asnapshot = sync_to_async(snapshot)


def worker_figures(scope: ProductScope = EVERY_PRODUCT) -> list[WorkerFigures]:
    """Return the worker processes that serve products of the scope; dead ones are known for a day."""
    return [
        _worker(report)
        for report in worker_reports()
        if not report.worker.product or scope.allows(report.worker.product)
    ]


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
        state="alive" if report.is_alive else "dead",
        silent_seconds=round(report.silent_seconds, 1),
        queues=tuple(map(str, worker.queues)),
        product=worker.product,
        started_at=worker.started_at,
    )


def _queue(product: str, name: str, depth: Depth, now: datetime) -> QueueFigures:
    oldest = depth.oldest_ready_at
    return QueueFigures(
        product=product,
        queue=name,
        ready=depth.ready,
        pending=depth.pending,
        running=depth.running,
        oldest_ready_seconds=None if oldest is None else max((now - oldest).total_seconds(), 0.0),
        done_per_minute=None,
        failed_last_hour=None,
        wait_p95=None,
        drain_seconds=None,
        paused=None,
        spark=(None,) * SPARK_POINTS,
    )


def _cards(queues: list[QueueFigures]) -> Cards:
    ages = [queue.oldest_ready_seconds for queue in queues if queue.oldest_ready_seconds is not None]
    return Cards(
        ready=sum(queue.ready for queue in queues),
        running=sum(queue.running for queue in queues),
        pending=sum(queue.pending for queue in queues),
        failed_last_hour=None,
        oldest_ready_seconds=max(ages, default=None),
    )
