"""What the dashboard shows now, as one value per scope."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from asgiref.sync import sync_to_async

from pleme_redis_django.access.product_scope import EVERY_PRODUCT, ProductScope
from pleme_redis_django.conf import get_settings
from pleme_redis_django.metrics.measured import MeasuredAt
from pleme_redis_django.metrics.recent import SPARK_POINTS
from pleme_redis_django.metrics.rollups import KEPT_SECONDS
from pleme_redis_django.metrics.samples import Sample, read_sample
from pleme_redis_django.models import AbstractJob, Job, QueuePause, QueueRollup, model_label
from pleme_redis_django.monitoring.failure_groups import failure_groups
from pleme_redis_django.monitoring.figures import Cards, PauseNote, QueueFigures, Snapshot
from pleme_redis_django.monitoring.health import judge
from pleme_redis_django.monitoring.overlooked_jobs import overlooked_reasons
from pleme_redis_django.monitoring.queue_health import is_failing, is_late
from pleme_redis_django.monitoring.schedules import schedule_reasons
from pleme_redis_django.monitoring.storage_warnings import storage_reasons
from pleme_redis_django.monitoring.worker_figures import is_visible, worker_figures
from pleme_redis_django.orm_store.job_table import JobTable

QUEUES_SHOWN = WORKERS_SHOWN = 50
FAILURES_SHOWN = 10
FAILURES_READ = 5_000
SOON_SECONDS = 60.0


def snapshot(scope: ProductScope = EVERY_PRODUCT, *, model: type[AbstractJob] = Job) -> Snapshot:
    """Return what a user of this scope sees of one job table. Only failures are counted for it."""
    settings = get_settings()
    sample = read_sample(model)
    max_wait = settings.dashboard_max_wait
    queues = _queues(sample, scope, model)
    workers = worker_figures(scope, model=model)
    failures = failure_groups(scope, model=model, limit=FAILURES_SHOWN, read_limit=FAILURES_READ)
    measured = sample.measured
    return Snapshot(
        at=measured.now,
        sampled_at=measured.at,
        is_old=measured.is_overdue,
        health=judge(
            queues,
            workers,
            max_wait=max_wait,
            measured=measured,
            others=[
                *(schedule_reasons(scope, measured.now) if model is Job else ()),
                *storage_reasons(scope, model),
                *overlooked_reasons(scope, measured.now, model),
            ],
        ),
        cards=_cards(queues, is_measured=measured.at is not None),
        queues=tuple(queues[:QUEUES_SHOWN]),
        queue_count=len(queues),
        workers=tuple(workers[:WORKERS_SHOWN]),
        worker_count=len(workers),
        failures=failures.groups,
        cause_count=failures.cause_count,
        failures_are_capped=failures.is_capped,
    )


asnapshot = sync_to_async(snapshot)


def queue_figures(
    scope: ProductScope = EVERY_PRODUCT, *, model: type[AbstractJob] = Job
) -> list[QueueFigures]:
    """Return every queue of the scope, queues in trouble first; two queries."""
    return measured_queues(scope, model=model)[1]


def measured_queues(
    scope: ProductScope = EVERY_PRODUCT, *, model: type[AbstractJob] = Job
) -> tuple[MeasuredAt, list[QueueFigures]]:
    """Return every queue of the scope and when they were measured; two queries."""
    sample = read_sample(model)
    return sample.measured, _queues(sample, scope, model)


def was_measured(product: str, queue: str, *, model: type[AbstractJob] = Job) -> bool:
    """Whether a measurement of the last week found something in a queue; one query."""
    rows = QueueRollup._base_manager.using(get_settings().database).filter(job_model=model_label(model))
    # Every step of the index, whose next columns are these.
    steps = rows.filter(step_seconds__in=sorted(KEPT_SECONDS))
    return steps.filter(product=product, queue_name=queue).exists()


def _queues(sample: Sample, scope: ProductScope, model: type[AbstractJob]) -> list[QueueFigures]:
    pauses = JobTable(model, get_settings().database).pauses().order_by("queue_name", "product")
    queues = with_pauses(
        [_queue(stored, sample.measured) for stored in sample.queues if scope.allows(stored["product"])],
        [pause for pause in pauses if is_visible(pause.product, scope)],
    )
    max_wait = get_settings().dashboard_max_wait
    return sorted(queues, key=lambda queue: _by_trouble(queue, max_wait))


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
        growth_per_minute=None,
        failed_last_hour=0,
        wait_p95=None,
        clears_in_seconds=None,
        paused=note,
        spark=(None,) * SPARK_POINTS,
    )


def _queue(stored: Mapping[str, Any], measured: MeasuredAt) -> QueueFigures:
    now, ready, pace = measured.now, stored["ready"], stored["done_per_minute"]
    # An old measurement predicts nothing: the workers may be gone.
    growth = None if measured.is_overdue else stored["growth_per_minute"]
    return QueueFigures(
        product=stored["product"],
        queue=stored["queue"],
        ready=ready,
        pending=stored["pending"],
        running=stored["running"],
        oldest_ready_seconds=_seconds_since(stored["oldest_ready_at"], now),
        done_per_minute=pace,
        growth_per_minute=growth,
        failed_last_hour=stored["failed_last_hour"],
        wait_p95=stored["wait_p95"],
        clears_in_seconds=None if measured.is_overdue else _clears_in_seconds(ready, pace, growth),
        paused=None,
        spark=tuple(stored["spark"]),
        ended_of_late=stored["ended_of_late"],
        failed_of_late=stored["failed_of_late"],
        ended_usually=stored["ended_usually"],
        failed_usually=stored["failed_usually"],
        run_p95=stored["run_p95"],
        oldest_running_seconds=_seconds_since(stored["oldest_running_at"], now),
        # A worker of the release before did not count them.
        blocked=stored.get("blocked", 0),
        is_capped=stored["is_capped"],
    )


def _seconds_since(at: float | None, now: datetime) -> float | None:
    return None if at is None else round(max(now.timestamp() - at, 0.0), 1)


def _clears_in_seconds(ready: int, pace: float, growth: float | None) -> float | None:
    """Return when the ready jobs will be through; None: never, as things go."""
    if not ready:
        return None
    alone = 60 * ready / pace if pace else None
    # Before the growth is known, or if the backlog takes less than a minute anyway.
    if growth is None or (alone is not None and alone <= SOON_SECONDS):
        return None if alone is None else round(alone, 1)
    return round(60 * ready / -growth, 1) if growth < 0 else None


def _by_trouble(queue: QueueFigures, max_wait: Mapping[str, float]) -> tuple[Any, ...]:
    waited = queue.oldest_ready_seconds or 0.0
    return (not is_late(queue, max_wait), -waited, -queue.failed_last_hour, queue.product, queue.queue)


def _cards(queues: Sequence[QueueFigures], *, is_measured: bool) -> Cards:
    if not is_measured:
        return Cards(
            ready=None,
            running=None,
            blocked=None,
            pending=None,
            failed_last_hour=None,
            is_failing=False,
            oldest_ready_seconds=None,
        )
    ages = [queue.oldest_ready_seconds for queue in queues if queue.oldest_ready_seconds is not None]
    return Cards(
        ready=sum(queue.ready for queue in queues),
        running=sum(queue.running for queue in queues),
        blocked=sum(queue.blocked for queue in queues),
        pending=sum(queue.pending for queue in queues),
        failed_last_hour=sum(queue.failed_last_hour for queue in queues),
        is_failing=any(is_failing(queue) for queue in queues),
        oldest_ready_seconds=max(ages, default=None),
        is_capped=any(queue.is_capped for queue in queues),
    )
