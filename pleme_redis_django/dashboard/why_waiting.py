"""Why a job is not running: what a claim asks of a row and of the workers, answered for one job.

Answered from the database alone: Redis makes jobs start sooner, and never keeps one from starting.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import DurationField, ExpressionWrapper, F, Q
from django.db.models.functions import Now

from pleme_redis_django.conf import get_settings
from pleme_redis_django.durations import duration
from pleme_redis_django.enqueueing.pools import JOB_MODEL_LABEL
from pleme_redis_django.jobs.job import SUSPECT_AFTER_CRASHES, JobStatus
from pleme_redis_django.models import AbstractJob, WorkerProcess, model_label
from pleme_redis_django.monitoring import worker_reports
from pleme_redis_django.operations import WAITING_STATUSES, paused_queues
from pleme_redis_django.orm_store.ready_rows import is_no_suspect
from pleme_redis_django.wiring import known_types_of_models

# Further ahead it makes no difference to whoever asks, and the count would cost more.
COUNTED_AHEAD = 10_000
QUEUES_NAMED = 5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WaitReason:
    """One thing that keeps a job waiting."""

    code: str
    """``deleted``, ``not_due``, ``due``, ``paused``, ``unknown_type``, ``no_worker``, ``unserved``,
    ``draining``, ``runs_alone``, ``busy``, ``behind`` or ``next``."""
    text: str
    """The reason in a sentence."""
    since: datetime | None = None
    """Since when it holds, where that is known."""
    fix: str = ""
    """What an operator can do; empty: nothing, or nothing is wrong."""


def why_waiting(job: AbstractJob, *, done_per_minute: float | None = None) -> list[WaitReason]:
    """Return what keeps the job waiting, the decisive first; nothing unless it waits. Four queries at most.

    What holds now is asked of the database, not of the instance. ``done_per_minute``: the pace of
    its queue where the caller knows it, for an estimate.
    """
    row = _read(job)
    if row is None:
        return []
    serving = _Workers.of(row)
    reasons = [*_of_row(row), *_of_pauses(row), *_of_type(row), *_of_workers(row, serving)]
    return reasons or [_of_turn(row, serving, done_per_minute)]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """What a claim reads of the job, as the database has it now."""

    model: type[AbstractJob]
    using: str
    values: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        return self.values[name]


_FIELDS = (
    "id",
    "product",
    "queue_name",
    "job_type",
    "status",
    "priority",
    "run_after",
    "crash_count",
    "retry_count",
    "max_retries",
    "created_at",
    "failed_at",
    "deleted_at",
)


def _read(job: AbstractJob) -> _Row | None:
    using = job._state.db or get_settings().database
    due_in = ExpressionWrapper(F("run_after") - Now(), output_field=DurationField())
    rows = type(job)._base_manager.using(using).filter(pk=job.pk, status__in=WAITING_STATUSES)
    values = rows.annotate(due_in=due_in).values(*_FIELDS, "due_in").first()
    return None if values is None else _Row(model=type(job), using=using, values=values)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Workers:
    """The worker processes that live, and those of them that serve the job's queue and product."""

    alive: Sequence[WorkerProcess]
    serving: Sequence[WorkerProcess]

    @classmethod
    def of(cls, row: _Row) -> _Workers:
        label = model_label(row.model)
        reports = worker_reports(using=row.using)
        alive = [each.worker for each in reports if each.is_alive and _runs_model(each.worker, label)]
        serving = [
            worker
            for worker in alive
            if not worker.is_quarantine
            and worker.product in ("", row.product)
            and not {"*", row.queue_name}.isdisjoint(worker.queues)
        ]
        return cls(alive=alive, serving=serving)

    @property
    def claiming(self) -> list[WorkerProcess]:
        """Those that were not asked to drain."""
        return [worker for worker in self.serving if worker.drain_requested_at is None]


def _runs_model(worker: WorkerProcess, label: str) -> bool:
    pool = get_settings().pools.get(worker.pool, {})
    return str(pool.get("model", JOB_MODEL_LABEL)).lower() == label


def _of_row(row: _Row) -> Iterator[WaitReason]:
    if row.deleted_at is not None:
        yield WaitReason(
            code="deleted", text="It was deleted, and no worker claims it.", since=row.deleted_at
        )
    if row.status == JobStatus.PENDING:
        yield _not_due(row) if row.due_in > timedelta() else _due(row)
    if row.crash_count >= SUSPECT_AFTER_CRASHES:
        text = f"Its worker process died {row.crash_count} times while it ran, so it runs alone, after other such jobs."
        yield WaitReason(code="runs_alone", text=text)


def _not_due(row: _Row) -> WaitReason:
    wait = duration(row.due_in.total_seconds())
    if row.retry_count:
        text = f"It failed, and is tried again in {wait}: retry {row.retry_count} of {row.max_retries}."
    else:
        text = f"It is scheduled, and due in {wait}."
    since = row.failed_at if row.retry_count else row.created_at
    return WaitReason(code="not_due", text=text, since=since, fix="Run it now, or reschedule it.")


def _due(row: _Row) -> WaitReason:
    text = "It has become due, and a worker that looks ahead makes it ready."
    return WaitReason(code="due", text=text, since=row.run_after)


def _of_pauses(row: _Row) -> Iterator[WaitReason]:
    for pause in paused_queues(product=row.product, model=row.model, using=row.using):
        if pause.queue_name == row.queue_name:
            what = f"The queue {row.queue_name}" + (f" of {pause.product}" if pause.product else "")
            text = f"{what} was paused{f' by {pause.paused_by}' if pause.paused_by else ''}"
            text += f": {pause.reason}" if pause.reason else "."
            yield WaitReason(code="paused", text=text, since=pause.paused_at, fix="Resume the queue.")


def _of_type(row: _Row) -> Iterator[WaitReason]:
    known = known_types_of_models().get(row.model)
    if known is not None and row.job_type not in known:
        text = (
            f"No handler is known here for the type {row.job_type}: a worker of this release leaves it alone."
        )
        yield WaitReason(code="unknown_type", text=text, fix="Deploy the code that has it to the workers.")


def _of_workers(row: _Row, workers: _Workers) -> Iterator[WaitReason]:
    if not workers.alive:
        fix = "Start one: manage.py runworkers."
        yield WaitReason(code="no_worker", text="No worker process that could run it is alive.", fix=fix)
    elif not workers.serving:
        yield _unserved(row, workers)
    elif not workers.claiming:
        since = max(worker.drain_requested_at for worker in workers.serving if worker.drain_requested_at)
        text = "Every worker process that serves it was asked to drain, and claims no more."
        yield WaitReason(
            code="draining", text=text, since=since, fix="Start another one: manage.py runworkers."
        )


def _unserved(row: _Row, workers: _Workers) -> WaitReason:
    scopes = {
        f"{queue} of {worker.product}" if worker.product else str(queue)
        for worker in workers.alive
        for queue in worker.queues
    }
    named = sorted(scopes)[:QUEUES_NAMED]
    more = f" and {len(scopes) - QUEUES_NAMED} more" if len(scopes) > QUEUES_NAMED else ""
    return WaitReason(
        code="unserved",
        text=f"No live worker process serves the queue {row.queue_name} of {row.product}. Served: "
        f"{', '.join(named)}{more}.",
        fix="Move it to another queue, or add its queue to a pool.",
    )


def _of_turn(row: _Row, workers: _Workers, done_per_minute: float | None) -> WaitReason:
    """Return the reason of a job that nothing but other jobs keeps waiting."""
    ahead = _count_ahead(row)
    slots = sum(worker.slots for worker in workers.claiming)
    held = sum(worker.running for worker in workers.claiming)
    fix = "Raise its priority, or run more worker processes."
    if held >= slots:
        text = f"{_slots_taken(slots, workers)}{_and_ahead(ahead, done_per_minute)}."
        return WaitReason(code="busy", text=text, since=row.run_after, fix=fix)
    if ahead:
        text = f"{_jobs_ahead(ahead)} of its queue {'comes' if ahead == 1 else 'come'} before it"
        text += f"{_estimate(ahead, done_per_minute)}."
        return WaitReason(code="behind", text=text, since=row.run_after, fix=fix)
    return WaitReason(
        code="next", text="It is ready, and next: the coming claim takes it.", since=row.run_after
    )


def _count_ahead(row: _Row) -> int:
    rows = row.model._base_manager.using(row.using).filter(
        is_no_suspect(), status=JobStatus.QUEUED, deleted_at=None, queue_name=row.queue_name
    )
    same = Q(priority=row.priority)
    earlier = Q(run_after__lt=row.run_after) | Q(run_after=row.run_after, id__lt=row.id)
    # SQLite keeps times as texts, and the row's own, written by the database, has another number of digits.
    before = rows.filter(Q(priority__gt=row.priority) | (same & earlier)).exclude(id=row.id)
    return before[: COUNTED_AHEAD + 1].count()


def _slots_taken(slots: int, workers: _Workers) -> str:
    count = len(workers.claiming)
    processes = "the worker process that serves" if count == 1 else f"the {count} worker processes that serve"
    return f"All {slots:,} slots of {processes} it are taken"


def _and_ahead(ahead: int, done_per_minute: float | None) -> str:
    if not ahead:
        return ", and it is next"
    return f", and {_jobs_ahead(ahead)} of its queue come before it{_estimate(ahead, done_per_minute)}"


def _jobs_ahead(ahead: int) -> str:
    if ahead > COUNTED_AHEAD:
        return f"more than {COUNTED_AHEAD:,} jobs"
    return "1 job" if ahead == 1 else f"{ahead:,} jobs"


def _estimate(ahead: int, done_per_minute: float | None) -> str:
    if not done_per_minute or ahead > COUNTED_AHEAD:
        return ""
    return f", about {duration(60 * ahead / done_per_minute)} at the present pace"
