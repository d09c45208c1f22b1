"""What the dashboard shows now: one value per scope, made of what is measured, counted and registered."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from asgiref.sync import sync_to_async

from pleme_redis_django.conf import get_settings
from pleme_redis_django.dashboard.failures import failure_groups
from pleme_redis_django.dashboard.figures import (
    SPARK_POINTS,
    Cards,
    PauseNote,
    QueueFigures,
    Snapshot,
    WorkerFigures,
    WorkerState,
)
from pleme_redis_django.dashboard.health import is_late, judge
from pleme_redis_django.dashboard.samples import Sample, read_sample
from pleme_redis_django.dashboard.scope import EVERY_PRODUCT, ProductScope
from pleme_redis_django.models import AbstractJob, Job, QueuePause
from pleme_redis_django.monitoring import WorkerReport, worker_reports
from pleme_redis_django.operations import paused_queues

QUEUES_SHOWN = WORKERS_SHOWN = 50
FAILURES_SHOWN = 10
FAILURES_READ = 5_000


def snapshot(scope: ProductScope = EVERY_PRODUCT, *, model: type[AbstractJob] = Job) -> Snapshot:
    """Return what a user of this scope sees of one job table. Nothing is counted for it but failures."""
    settings = get_settings()
    sample = read_sample(model)
    max_wait = settings.dashboard_max_wait
    queues = _queues(sample, scope, model)
    workers = worker_figures(scope)
    failures = failure_groups(scope, model=model, limit=FAILURES_SHOWN, read_limit=FAILURES_READ)
    return Snapshot(
        at=sample.now,
        sampled_at=sample.measured_at,
        health=judge(queues, workers, max_wait=max_wait, sampled_at=sample.measured_at, now=sample.now),
        cards=_cards(queues, is_measured=sample.measured_at is not None),
        queues=tuple(queues[:QUEUES_SHOWN]),
        queue_count=len(queues),
        workers=tuple(workers[:WORKERS_SHOWN]),
        worker_count=len(workers),
        failures=failures.groups,
        failures_are_capped=failures.is_capped,
    )


asnapshot = sync_to_async(snapshot)


def queue_figures(
    scope: ProductScope = EVERY_PRODUCT, *, model: type[AbstractJob] = Job
) -> list[QueueFigures]:
    """Return every queue of the scope, those in trouble first; two queries."""
    return _queues(read_sample(model), scope, model)


def _queues(sample: Sample, scope: ProductScope, model: type[AbstractJob]) -> list[QueueFigures]:
    queues = with_pauses(
        [_queue(stored, sample.now) for stored in sample.queues if scope.allows(stored["product"])],
        [pause for pause in paused_queues(model=model) if not pause.product or scope.allows(pause.product)],
    )
    max_wait = get_settings().dashboard_max_wait
    return sorted(queues, key=lambda queue: _by_trouble(queue, max_wait))


def worker_figures(scope: ProductScope = EVERY_PRODUCT) -> list[WorkerFigures]:
    """Return the worker processes that serve products of the scope; dead ones are known for a day."""
    return [
        _worker(report)
        for report in worker_reports()
        if not report.worker.product or scope.allows(report.worker.product)
    ]


def with_pauses(queues: Iterable[QueueFigures], pauses: Sequence[QueuePause]) -> list[QueueFigures]:
    """Return the queues, each with what pauses it, and those that are paused and hold nothing."""
    notes = {(pause.product, pause.queue_name): _note(pause) for pause in pauses}
    marked = [
        dataclasses.replace(
            queue, paused=notes.get((queue.product, queue.queue), notes.get(("", queue.queue)))
        )
        for queue in queues
    ]
    held = {(queue.product, queue.queue) for queue in marked} | {("", queue.queue) for queue in marked}
    return marked + [_empty(*key, note) for key, note in notes.items() if key not in held]


def _note(pause: QueuePause) -> PauseNote:
    return PauseNote(product=pause.product, by=pause.paused_by, reason=pause.reason, at=pause.paused_at)


def _empty(product: str, name: str, note: PauseNote) -> QueueFigures:
    return QueueFigures(
        product=product,
        queue=name,
        ready=0,
        pending=0,
        running=0,
        oldest_ready_seconds=None,
        done_per_minute=0.0,
        failed_last_hour=0,
        wait_p95=None,
        drain_seconds=None,
        paused=note,
        spark=(None,) * SPARK_POINTS,
    )


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
    )


def _state(report: WorkerReport) -> WorkerState:
    if not report.is_alive:
        return "dead"
    return "alive" if report.worker.drain_requested_at is None else "draining"


def _queue(stored: Mapping[str, Any], now: datetime) -> QueueFigures:
    ready, pace = stored["ready"], stored["done_per_minute"]
    since = stored["oldest_ready_at"]
    return QueueFigures(
        product=stored["product"],
        queue=stored["queue"],
        ready=ready,
        pending=stored["pending"],
        running=stored["running"],
        oldest_ready_seconds=None if since is None else round(max(now.timestamp() - since, 0.0), 1),
        done_per_minute=pace,
        failed_last_hour=stored["failed_last_hour"],
        wait_p95=stored["wait_p95"],
        drain_seconds=round(60 * ready / pace, 1) if ready and pace else None,
        paused=None,
        spark=tuple(stored["spark"]),
    )


def _by_trouble(queue: QueueFigures, max_wait: Mapping[str, float]) -> tuple[Any, ...]:
    waited = queue.oldest_ready_seconds or 0.0
    return (not is_late(queue, max_wait), -waited, -queue.failed_last_hour, queue.product, queue.queue)


def _cards(queues: Sequence[QueueFigures], *, is_measured: bool) -> Cards:
    if not is_measured:
        return Cards(ready=None, running=None, pending=None, failed_last_hour=None, oldest_ready_seconds=None)
    ages = [queue.oldest_ready_seconds for queue in queues if queue.oldest_ready_seconds is not None]
    return Cards(
        ready=sum(queue.ready for queue in queues),
        running=sum(queue.running for queue in queues),
        pending=sum(queue.pending for queue in queues),
        failed_last_hour=sum(queue.failed_last_hour for queue in queues),
        oldest_ready_seconds=max(ages, default=None),
    )
