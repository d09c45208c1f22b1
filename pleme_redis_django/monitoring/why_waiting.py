"""Why a job is not running: the conditions of a claim, checked for one job and the workers.

It reads only the database: Redis makes jobs start sooner, and never prevents a start.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.formats import date_format

from pleme_redis_django.access.product_scope import EVERY_PRODUCT, ProductScope
from pleme_redis_django.configured_pools import is_async_type, known_types_of_models
from pleme_redis_django.durations import duration
from pleme_redis_django.jobs.interface.job import (
    SUSPECT_AFTER_CRASHES,
    SUSPECT_AFTER_UNSEEN_DEATHS,
    JobStatus,
)
from pleme_redis_django.models import AbstractJob, QueuePause
from pleme_redis_django.monitoring.gate_reasons import reason_of_gate
from pleme_redis_django.monitoring.serving_workers import ServingWorkers
from pleme_redis_django.monitoring.turn import reason_of_turn
from pleme_redis_django.monitoring.waiting_row import WaitingRow, WaitReason, is_put_off, read_waiting_row
from pleme_redis_django.orm_store.job_table import JobTable

__all__ = ["WaitReason", "why_waiting"]

QUEUES_NAMED = 5
_MAKE_IT_DUE = "Run it now, or reschedule it."


def why_waiting(
    job: AbstractJob, *, done_per_minute: float | None = None, scope: ProductScope = EVERY_PRODUCT
) -> list[WaitReason]:
    """Return what keeps the job waiting, the decisive first; nothing unless it waits. Four queries at most.

    What holds now is asked of the database, not of the instance. ``done_per_minute``: how many jobs its
    workers end, where the caller knows it, for an estimate. ``scope``: nothing of other products is named.
    """
    row = read_waiting_row(job)
    if row is None:
        return []
    workers = ServingWorkers.of(row, is_async=is_async_type(row.model, row.job_type))
    pauses = list(JobTable(row.model, row.using).pauses().order_by("queue_name", "product"))
    reasons = [
        *_of_row(row, scope),
        *_of_pauses(row, pauses),
        *_of_type(row, workers),
        *_of_workers(row, workers, scope),
    ]
    return reasons or [reason_of_turn(row, workers, pauses, scope, done_per_minute)]


def _of_row(row: WaitingRow, scope: ProductScope) -> Iterator[WaitReason]:
    if row.deleted_at is not None:
        yield WaitReason(code="deleted", text="It was deleted, so no worker claims it.", since=row.deleted_at)
    if row.expires_at is not None and row.expires_at <= row.now:
        text = "Its deadline is over: it does not start any more, and ends CANCELLED within seconds."
        yield WaitReason(code="expired", text=text, since=row.expires_at)
    if row.status == JobStatus.PENDING:
        yield _not_due(row) if row.due_in > timedelta() else _due(row)
    if row.status == JobStatus.BLOCKED:
        yield reason_of_gate(row, scope)
    if row.crash_count >= SUSPECT_AFTER_CRASHES:
        text = f"{_deaths(row)} while it ran, so it runs alone, after other such jobs."
        yield WaitReason(code="runs_alone", text=text)


def _deaths(row: WaitingRow) -> str:
    if row.unseen_deaths >= SUSPECT_AFTER_UNSEEN_DEATHS:
        return f"{row.unseen_deaths} worker processes in a row vanished, most likely with their hosts,"
    return f"Its worker process died {row.crash_count} times"


def _not_due(row: WaitingRow) -> WaitReason:
    wait = duration(row.due_in.total_seconds())
    if is_put_off(row):
        times = "once" if row.snoozes == 1 else f"{row.snoozes} times"
        text = f"Its handler has put it off {times}, now until {_moment(row.run_after)}: it is due in {wait}."
        return WaitReason(code="put_off", text=text, since=row.updated_at, fix=_MAKE_IT_DUE)
    if row.retry_count:
        text = f"It failed, and is tried again in {wait}: retry {row.retry_count} of {row.max_retries}."
    elif row.schedule:
        text = f"The schedule {row.schedule} made it, and it is due in {wait}."
    else:
        text = f"It is scheduled, and due in {wait}."
    since = row.failed_at if row.retry_count else row.created_at
    return WaitReason(code="not_due", text=text, since=since, fix=_MAKE_IT_DUE)


def _moment(moment: datetime) -> str:
    return date_format(timezone.localtime(moment) if timezone.is_aware(moment) else moment, "Y-m-d H:i:s")


def _due(row: WaitingRow) -> WaitReason:
    text = "It has become due; a worker will make it ready."
    return WaitReason(code="due", text=text, since=row.run_after)


def _of_pauses(row: WaitingRow, pauses: Sequence[QueuePause]) -> Iterator[WaitReason]:
    for pause in pauses:
        if pause.queue_name == row.queue_name and pause.product in ("", row.product):
            what = f"The queue {row.queue_name}" + (f" of {pause.product}" if pause.product else "")
            text = f"{what} was paused{f' by {pause.paused_by}' if pause.paused_by else ''}"
            text += f": {pause.reason}" if pause.reason else "."
            yield WaitReason(code="paused", text=text, since=pause.paused_at, fix="Resume the queue.")


def _of_type(row: WaitingRow, workers: ServingWorkers) -> Iterator[WaitReason]:
    """Yield that nobody knows the type: the workers say which ones they know, else this process's code does."""
    known = known_types_of_models().get(row.model)
    if workers.is_type_told:
        if workers.knowing:
            return
        text = f"No live worker process that serves it knows the type {row.job_type}: they leave it alone."
    elif known is not None and row.job_type not in known:
        text = (
            f"No handler is known here for the type {row.job_type}: a worker of this release leaves it alone."
        )
    else:
        return
    fix = "Deploy the code that has it to the workers. They find a @job in the jobs.py of an installed app."
    yield WaitReason(code="unknown_type", text=text, fix=fix)


def _of_workers(row: WaitingRow, workers: ServingWorkers, scope: ProductScope) -> Iterator[WaitReason]:
    start_one = "Start one: manage.py runworkers."
    if not workers.alive:
        text = "No live worker process could run it."
        yield WaitReason(code="no_worker", text=text, fix=start_one)
    elif not workers.serving:
        yield _unserved(row, workers, scope)
    elif workers.knowing and not workers.claiming:
        since = max(
            begun for each in workers.knowing if (begun := each.drain_requested_at or each.draining_since)
        )
        text = "Every worker process that serves it drains and claims no more jobs."
        yield WaitReason(code="draining", text=text, since=since, fix=start_one)


def _unserved(row: WaitingRow, workers: ServingWorkers, scope: ProductScope) -> WaitReason:
    served = {(str(queue), worker.product) for worker in workers.alive for queue in worker.queues}
    visible = sorted(
        f"{queue} of {product}" if product else queue
        for queue, product in served
        if (scope.allows(product) if product else scope.sees_shared)
    )
    rest = len(served) - len(visible[:QUEUES_NAMED])
    more = f"{rest} {'others' if rest > 1 else 'other'}" if len(visible) < len(served) else f"{rest} more"
    named = " and ".join(filter(None, [", ".join(visible[:QUEUES_NAMED]), more if rest else ""]))
    return WaitReason(
        code="unserved",
        text=f"No live worker process serves the queue {row.queue_name} of {row.product}. Served: {named}.",
        fix="Move it to another queue, or add its queue to a pool.",
    )
