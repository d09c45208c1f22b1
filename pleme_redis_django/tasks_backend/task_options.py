"""job_options(): the options of ``@job`` for a task, where ``@task`` takes none."""

from __future__ import annotations

import dataclasses
from typing import Any

from pleme_redis_django.tasks_backend.announcements import announce
from pleme_redis_django.tasks_backend.api import InvalidTask, Task
from pleme_redis_django.tasks_backend.definition import definition_of_task
from pleme_redis_django.tasks_backend.job_task import JobTask
from pleme_redis_django.wording import did_you_mean

OWN_OPTIONS = frozenset(field.name for field in dataclasses.fields(JobTask)) - frozenset(
    field.name for field in dataclasses.fields(Task)
)


def job_options(task: Task[Any, Any], /, **options: Any) -> JobTask:
    """Return the task with options of ``@job``, on Django 6.0 too, whose ``@task`` takes none.

    Raises InvalidTask for an option that there is not, or a value that is not accepted.
    """
    for name in options:
        if name not in OWN_OPTIONS:
            accepted = f"Accepted: {', '.join(sorted(OWN_OPTIONS))}."
            raise InvalidTask(
                f"job_options() has no option {name!r}. {did_you_mean(name, OWN_OPTIONS, otherwise=accepted)}"
            )
    kept = {field.name: getattr(task, field.name) for field in dataclasses.fields(task)}
    changed = JobTask(**(kept | options))
    # Where TASKS names another backend, no worker here runs the task.
    if issubclass(changed.get_backend().task_class, JobTask):
        announce(definition_of_task(changed, anew=True))
    return changed
