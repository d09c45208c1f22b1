"""From a row of another queue to the job definition and the parameters that its enqueue here would store."""

from __future__ import annotations

from typing import Any

from pleme_redis_django.adoption.foreign_call import CannotMove, ForeignCall
from pleme_redis_django.jobs.definitions.definition import JobDefinition
from pleme_redis_django.jobs.definitions.registry import registry
from pleme_redis_django.wording import did_you_mean

Call = tuple[JobDefinition[Any, Any], dict[str, Any]]


def call_of(row: ForeignCall, metadata: dict[str, Any]) -> Call:
    """Return what to enqueue for a row. Raises CannotMove, or what the enqueue of such a call raises."""
    definition, args, kwargs = _job(row) if row.alias is None else _task(row, row.alias)
    said = definition.using(metadata=metadata, max_retries=row.max_retries, timeout=row.timeout)
    return said, said.bind(tuple(args), kwargs)


def _job(row: ForeignCall) -> tuple[JobDefinition[Any, Any], list[Any], dict[str, Any]]:
    definition = registry.find(row.path)
    if definition is None:
        known = [each.name for each in registry]
        hint = did_you_mean(row.path, known, otherwise="Decorate the function with @job.")
        raise CannotMove(f'no @job or task is named "{row.path}". {hint}')
    return definition, list(row.args), dict(row.kwargs)


def _task(row: ForeignCall, alias: str) -> tuple[JobDefinition[Any, Any], list[Any], dict[str, Any]]:
    # Here: what is moved from django-q2 needs no tasks API.
    from pleme_redis_django.tasks_backend.api import InvalidTask, normalize_json, task_backends
    from pleme_redis_django.tasks_backend.declaration import declared_task
    from pleme_redis_django.tasks_backend.job_task import JobTask

    backend: Any = task_backends[alias] if alias in task_backends.settings else None
    if backend is None or not issubclass(backend.task_class, JobTask):
        raise CannotMove(f'TASKS["{alias}"] is not the backend of this package')
    found = declared_task(row.path)
    if found is None:
        raise CannotMove(f'this code has no task "{row.path}"; was it renamed or moved?')
    try:
        task = found.using(
            backend=alias, queue_name=row.queue_name, priority=row.priority, run_after=row.run_after
        )
    except InvalidTask as error:
        raise CannotMove(str(error)) from None
    args: Any = normalize_json(list(row.args))
    kwargs: Any = normalize_json(dict(row.kwargs))
    return backend.definition_as_enqueued(task, len(args)), args, kwargs
