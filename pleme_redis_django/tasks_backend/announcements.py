"""The signals of django.tasks, sent where this package sends its own, with the backend class as sender."""

from __future__ import annotations

import logging
from typing import Any

from django.dispatch import Signal
from django.utils import timezone

from pleme_redis_django import signals
from pleme_redis_django.jobs.interface.endings import Failure
from pleme_redis_django.tasks_backend.api import (
    BaseTaskBackend,
    TaskResult,
    TaskResultDoesNotExist,
    TaskResultStatus,
    task_backends,
    task_enqueued,
    task_finished,
    task_started,
)

logger = logging.getLogger("pleme_redis_django.tasks")
api_logger = logging.getLogger(BaseTaskBackend.__module__.partition(".backends")[0])


def connect() -> None:
    """Listen to the jobs of this process; once, however many backends there are."""
    for signal, receiver in (
        (signals.job_started, _started),
        (signals.job_completed, _completed),
        (signals.job_failed, _failed),
        (signals.job_cancelled, _cancelled),
    ):
        signal.connect(receiver, dispatch_uid="pleme_redis_django.tasks_backend")


def tell_enqueued(backend: type[BaseTaskBackend], result: TaskResult[Any, Any]) -> None:
    """Send ``task_enqueued``, in the enqueue's own transaction, as DEP 14 has it."""
    task_enqueued.send_robust(sender=backend, task_result=result)


def _started(job: Any, **_kwargs: Any) -> None:
    result = _result_in_worker(job) if _is_heard(task_started) else None
    if result is not None:
        task_started.send_robust(sender=_sender(result), task_result=result)


def _completed(job: Any, results: Any, **_kwargs: Any) -> None:
    result = _result_in_worker(job) if _is_heard(task_finished) else None
    if result is not None:
        _finish(result, TaskResultStatus.SUCCESSFUL, _return_value=results)


def _failed(job: Any, failure: Failure, **_kwargs: Any) -> None:
    result = _result_in_worker(job)
    if result is None:
        return
    from pleme_redis_django.tasks_backend.results import error_of

    errors = [error_of(failure.exception_class, failure.error_code, failure.traceback or failure.message)]
    if failure.exception is None:
        _finish(result, TaskResultStatus.FAILED, errors=errors)
        return
    traceback = failure.exception.__traceback__
    try:
        # Receivers that log, Django's own among them, read the exception that is being handled.
        raise failure.exception
    except BaseException:
        failure.exception.__traceback__ = traceback
        _finish(result, TaskResultStatus.FAILED, errors=errors)


def _cancelled(job: Any, **_kwargs: Any) -> None:
    from pleme_redis_django.tasks_backend.results import error_of

    result = _result_in_worker(job)
    if result is not None:
        _finish(
            result, TaskResultStatus.FAILED, errors=[error_of("", "cancelled", "The task was cancelled.")]
        )


def _finish(result: TaskResult[Any, Any], status: TaskResultStatus, **values: Any) -> None:
    from pleme_redis_django.tasks_backend.results import changed

    changed(result, status=status, finished_at=timezone.now(), **values)
    task_finished.send_robust(sender=_sender(result), task_result=result)


def _is_heard(signal: Signal) -> bool:
    """Whether anybody listens but the API's own receiver, or that one has a line to log."""
    return len(signal.receivers) > 1 or api_logger.isEnabledFor(logging.INFO)


def _result_in_worker(job: Any) -> TaskResult[Any, Any] | None:
    """Return the result of a task that this process runs, has run, or has cancelled; None: the job is no task."""
    from pleme_redis_django.tasks_backend.results import backend_of, running_result, stored_result

    alias = backend_of(job)
    if alias is None:
        return None
    try:
        return running_result(job) if job.claim is not None else stored_result(job, alias, ())
    except TaskResultDoesNotExist:
        logger.warning("no signal of django.tasks is sent job_id=%s job_type=%s", job.id, job.job_type)
        return None


def _sender(result: TaskResult[Any, Any]) -> type[BaseTaskBackend]:
    return type(task_backends[result.backend])
