"""The signals of django.tasks, sent as tasks start and end, with the backend class as sender.

Nothing is built for a signal that nobody hears: each task of a worker would pay for it.
"""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings as django_settings
from django.utils import timezone
from django.utils.log import RequireDebugTrue

from pleme_redis_django import event_log
from pleme_redis_django.job_listeners import listen
from pleme_redis_django.jobs.definitions.definition import JobDefinition
from pleme_redis_django.jobs.interface.endings import Failure
from pleme_redis_django.jobs.interface.json_text import from_json
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
from pleme_redis_django.tasks_backend.results import (
    backend_of,
    changed,
    error_of,
    running_result,
    stored_result,
)

logger = logging.getLogger("pleme_redis_django.tasks")
# The API itself listens to each of its signals, to write a line of it.
_OF_THE_API = 1
api_logger = logging.getLogger(BaseTaskBackend.__module__.partition(".backends")[0])


def tell_enqueued(backend: type[BaseTaskBackend], result: TaskResult[Any, Any]) -> None:
    """Send ``task_enqueued``, in the enqueue's own transaction, as DEP 14 has it."""
    if len(task_enqueued.receivers) > _OF_THE_API or _is_written(logging.DEBUG):
        task_enqueued.send_robust(sender=backend, task_result=result)


class Announcements:
    """Turns what the engine reports of tasks into their signals."""

    def __init__(self) -> None:
        self._is_written = True  # As the last claim found it.

    def claimed(self) -> None:
        # Not for each task: to ask every handler of its logger takes a tenth of what a worker spends on one.
        self._is_written = _is_written(logging.INFO)

    def started(self, job: Any, /) -> None:
        if not self._is_written and len(task_started.receivers) <= _OF_THE_API:
            return
        if (result := _result_in_worker(job)) is not None:
            event_log.send(task_started, sender=_sender(result), task_result=result)

    def completed(self, job: Any, results_json: str, /) -> None:
        if not self._is_written and len(task_finished.receivers) <= _OF_THE_API:
            return
        if (result := _result_in_worker(job)) is not None:
            _finish(result, TaskResultStatus.SUCCESSFUL, _return_value=from_json(results_json))

    def failed(self, job: Any, failure: Failure, /) -> None:
        result = _result_in_worker(job)
        if result is None:
            return
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

    def cancelled(self, job: Any, /) -> None:
        result = _result_in_worker(job)
        if result is not None:
            error = error_of("", "cancelled", "The task was cancelled.")
            _finish(result, TaskResultStatus.FAILED, errors=[error])


_announcements = Announcements()


def announce(definition: JobDefinition[Any, Any]) -> None:
    """Have the starts and ends of a task reported."""
    listen(definition.name, _announcements)


def _finish(result: TaskResult[Any, Any], status: TaskResultStatus, **values: Any) -> None:
    changed(result, status=status, finished_at=timezone.now(), **values)
    task_finished.send_robust(sender=_sender(result), task_result=result)


def _is_written(level: int) -> bool:
    """Whether a handler takes lines of the API's logger. By default, Django's own does only while DEBUG is on."""
    if not api_logger.isEnabledFor(level):
        return False
    logger: logging.Logger | None = api_logger
    while logger is not None:
        for handler in logger.handlers:
            if handler.level <= level and (django_settings.DEBUG or not _is_for_debugging(handler)):
                return True
        logger = logger.parent if logger.propagate else None
    return False


def _is_for_debugging(handler: logging.Handler) -> bool:
    return any(isinstance(one, RequireDebugTrue) for one in handler.filters)


def _result_in_worker(job: Any) -> TaskResult[Any, Any] | None:
    """Return the result of a task that this process runs, has run, or has cancelled; None: that cannot be told."""
    alias = backend_of(job)
    try:
        # A newer release may have another alias.
        if alias in task_backends.settings:
            return running_result(job) if job.claim is not None else stored_result(job, alias, ())
    except TaskResultDoesNotExist:
        pass
    logger.warning("no signal of django.tasks is sent job_id=%s job_type=%s", job.id, job.job_type)
    return None


def _sender(result: TaskResult[Any, Any]) -> type[BaseTaskBackend]:
    return type(task_backends[result.backend])
