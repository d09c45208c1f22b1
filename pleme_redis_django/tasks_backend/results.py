"""TaskResults of rows: what DEP 14 says of a task, read from the job that it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.conf import settings as django_settings
from django.utils import timezone

from pleme_redis_django.exceptions import ExecutionFailed, JobCancelled
from pleme_redis_django.jobs.definitions.arguments import as_call
from pleme_redis_django.jobs.interface.job import AnyJob, JobStatus
from pleme_redis_django.middleware.encryption.reading import parameters_if_readable, results_if_readable
from pleme_redis_django.tasks_backend.api import (
    Task,
    TaskError,
    TaskResult,
    TaskResultDoesNotExist,
    TaskResultStatus,
)
from pleme_redis_django.tasks_backend.declaration import MARK, declared_task, registered_task, signature_of

UNKNOWN_WORKER = ""
"""Stands in ``worker_ids`` for an attempt of which nothing is kept, so that their count stays that of the attempts."""

_STATUSES = {
    JobStatus.RUNNING: TaskResultStatus.RUNNING,
    JobStatus.COMPLETED: TaskResultStatus.SUCCESSFUL,
    JobStatus.FAILED: TaskResultStatus.FAILED,
    JobStatus.CANCELLED: TaskResultStatus.FAILED,
}


def backend_of(job: AnyJob) -> str | None:
    """Return the alias whose task a job is; None: it is not a task."""
    alias = _mark_of(job).get("backend")
    if isinstance(alias, str):
        return alias
    # A schedule or the admin has enqueued it, or a release that marks its rows in another way.
    task = registered_task(job.job_type)
    return None if task is None else task.backend


def task_of(job: Any, alias: str) -> Task[Any, Any]:
    """Return the task that a job calls, as it was enqueued.

    Raises TaskResultDoesNotExist where this code has no such task, as after it was renamed.
    """
    found = declared_task(job.job_type)
    if found is None:
        raise TaskResultDoesNotExist(
            f"The task {job.id} is of {job.job_type!r}, and this code has no task of that path. Was it renamed or "
            "moved? Keep a task of the old path until none of it waits."
        )
    return _restored(
        found, backend=alias, queue_name=job.queue_name, priority=job.priority, run_after=_due_of(job)
    )


def _restored(task: Task[Any, Any], **values: Any) -> Task[Any, Any]:
    """Return a copy without checking it again: a queue may be gone from QUEUES while its results are still there."""
    copy = object.__new__(type(task))
    for field in dataclasses.fields(task):
        object.__setattr__(copy, field.name, values.get(field.name, getattr(task, field.name)))
    return copy


def new_result(
    job: Any, task: Task[Any, Any], args: list[Any], kwargs: dict[str, Any]
) -> TaskResult[Any, Any]:
    """Return the result of a task that was stored just now, without a query; its arguments are plain already."""
    # Not by the constructor, which walks through the arguments once more and costs each enqueue three times this.
    result: TaskResult[Any, Any] = object.__new__(TaskResult)
    put = object.__setattr__
    put(result, "task", task)
    put(result, "id", str(job.id))
    put(result, "status", TaskResultStatus.READY)
    put(result, "enqueued_at", _enqueued_at(job))
    put(result, "started_at", None)
    put(result, "finished_at", None)
    put(result, "last_attempted_at", None)
    put(result, "args", args)
    put(result, "kwargs", kwargs)
    put(result, "backend", task.backend)
    put(result, "errors", [])
    put(result, "worker_ids", [])
    put(result, "_return_value", None)
    return result


def running_result(job: Any) -> TaskResult[Any, Any]:
    """Return the one result of a claim, as handler and signals see it; asks no database."""
    known: TaskResult[Any, Any] | None = job.__dict__.get(_RUNNING)
    if known is not None:
        return known
    task = task_of(job, backend_of(job) or "")
    now = timezone.now()
    result = changed(
        new_result(job, task, *_arguments(job, task)),
        status=TaskResultStatus.RUNNING,
        started_at=now,
        last_attempted_at=now,
        worker_ids=[UNKNOWN_WORKER] * (job.attempt - 1) + [job.claim.worker_id],
    )
    job.__dict__[_RUNNING] = result
    return result


# Where a claimed job keeps its result.
_RUNNING = "_pleme_task_result"


def stored_result(job: Any, alias: str, attempts: Sequence[Any]) -> TaskResult[Any, Any]:
    """Return the result of a whole row and of its kept attempts, the failed ones."""
    status = _STATUSES.get(job.status, TaskResultStatus.READY)
    is_over = status in (TaskResultStatus.SUCCESSFUL, TaskResultStatus.FAILED)
    # The row of an attempt is written after that of its job, and its start is counted back from there.
    starts = [job.started_at or job.claimed_at, *(one.started_at for one in attempts)]
    task = task_of(job, alias)
    return changed(
        new_result(job, task, *_arguments(job, task)),
        status=status,
        started_at=min((start for start in starts if start is not None), default=None),
        last_attempted_at=job.claimed_at or max((one.ended_at for one in attempts), default=None),
        finished_at=(job.completed_at if job.status == JobStatus.COMPLETED else job.failed_at)
        if is_over
        else None,
        errors=_errors(job, status, attempts),
        worker_ids=_worker_ids(job, attempts),
        _return_value=results_if_readable(job),
    )


def needs_attempts(job: Any) -> bool:
    """Whether a row has kept attempts to read: it was tried more than once, or has failed."""
    return job.attempt > 1 or bool(job.error_message)


def changed(result: TaskResult[Any, Any], **values: Any) -> TaskResult[Any, Any]:
    """Return the result with these values; it is frozen, and refreshed in place by Django too."""
    for name, value in values.items():
        object.__setattr__(result, name, value)
    return result


def _errors(job: Any, status: TaskResultStatus, attempts: Sequence[Any]) -> list[TaskError]:
    errors = [error_of(one.error_class, one.error_code, one.traceback or one.message) for one in attempts]
    if status == TaskResultStatus.FAILED and all(one.attempt != job.attempt for one in attempts):
        # It ended without an attempt: an operator cancelled it, or it expired.
        code = (job.error_details or {}).get("error_code", "cancelled")
        errors.append(error_of("", code, job.error_message or _REASONS.get(job.status, "The task failed.")))
    return errors


_REASONS = {JobStatus.CANCELLED: "The task was cancelled before it ran."}


def error_of(class_path: str, code: str, text: str) -> TaskError:
    if not class_path:
        # The engine's own words: there was no exception.
        kind = JobCancelled if code == JobCancelled.error_code else ExecutionFailed
        class_path = f"{kind.__module__}.{kind.__qualname__}"
    return TaskError(exception_class_path=class_path, traceback=text)


def _worker_ids(job: Any, attempts: Sequence[Any]) -> list[str]:
    known = {one.attempt: str(one.worker_id) for one in attempts}
    if job.worker_id is not None:
        known[job.attempt] = str(job.worker_id)
    return [known.get(number, UNKNOWN_WORKER) for number in range(1, job.attempt + 1)]


def _arguments(job: Any, task: Task[Any, Any]) -> tuple[list[Any], dict[str, Any]]:
    return as_call(signature_of(task), parameters_if_readable(job), _places_of(job))


def _mark_of(job: AnyJob) -> dict[str, Any]:
    # Of an enqueue it is a dict; who has written the row itself may have put anything there.
    mark = job.configuration.get(MARK) if isinstance(job.configuration, dict) else None
    return mark if isinstance(mark, dict) else {}


def _due_of(job: AnyJob) -> datetime | None:
    try:
        return datetime.fromisoformat(_mark_of(job).get("run_after"))  # type: ignore[arg-type]  # asked below
    except (TypeError, ValueError):
        # Due at once; or a newer release says it in another way.
        return None


def _places_of(job: AnyJob) -> int:
    places = _mark_of(job).get("places", 0)
    return places if isinstance(places, int) else 0


def _enqueued_at(job: Any) -> datetime:
    """Return when a job was enqueued: its UUIDv7 says it (RFC 9562), before and after the row is read."""
    job_id: UUID = job.id
    if job_id.version != 7:
        stored: datetime = job.created_at
        return stored
    moment = datetime.fromtimestamp((job_id.int >> 80) / 1000, tz=UTC)
    return moment if django_settings.USE_TZ else timezone.make_naive(moment, timezone.get_default_timezone())
