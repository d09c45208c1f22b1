"""DeclaredTask: what the registry keeps of a task, and where everybody here looks it up."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, ParamSpec, TypeVar

from django.utils.module_loading import import_string

from pleme_redis_django.jobs.definitions.definition import JobDefinition
from pleme_redis_django.jobs.definitions.handler import handler_of
from pleme_redis_django.jobs.definitions.registry import registry
from pleme_redis_django.tasks_backend.api import Task

P = ParamSpec("P")
R = TypeVar("R")

MARK = "task"
"""The key of ``configuration`` under which a row keeps how its task was enqueued."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class DeclaredTask(JobDefinition[P, R]):
    """The job definition of a task; how a worker runs it, TaskDefinition adds."""

    # DEP 14: a context is asked for with takes_context=True, and "ctx" is a parameter as any other.
    context_parameter: ClassVar[str | None] = None
    # DEP 14: parameters and results are JSON, on every backend the same, whatever is annotated.
    reads_annotations: ClassVar[bool] = False

    task: Task[Any, Any] | None = None
    """The task as it was declared."""
    declared: tuple[Any, ...] = ()

    @classmethod
    def check_parameters(cls, function: Callable[..., Any], parameters: Iterable[inspect.Parameter]) -> None:
        """Accept any parameters, as DEP 14 does."""


def registered_task(path: str) -> Task[Any, Any] | None:
    """Return the task that this process has declared under a path; None: nothing has, or the path is a job's."""
    definition = registry.find(path)
    return definition.task if isinstance(definition, DeclaredTask) else None


def declared_task(path: str) -> Task[Any, Any] | None:
    """Return the task of a path, importing its module if nothing has yet; None: this code has none."""
    known = registered_task(path)
    if known is not None:
        return known
    # Nothing has imported its module in this process yet.
    try:
        found = import_string(path)
    except ImportError:
        return None
    return found if isinstance(found, Task) else None


def signature_of(task: Task[Any, Any]) -> inspect.Signature:
    """Return the parameters of a task that an enqueue gives: all but its context."""
    known = registry.find(task.module_path)
    if isinstance(known, DeclaredTask) and known.function is task.func:
        return known.signature
    # It was declared where TASKS named another backend.
    return handler_of(task.func, None, takes_context=task.takes_context).signature
