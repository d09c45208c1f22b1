"""TaskDefinition: the job definition of a task, kept in the registry under the task's ``module_path``."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Awaitable
from contextlib import suppress
from functools import cached_property
from typing import Any, ParamSpec, TypeVar

from pleme_redis_django.exceptions import EnqueueError, InvalidJobDefinition
from pleme_redis_django.jobs.definitions.arguments import as_call
from pleme_redis_django.jobs.definitions.declaring import definition_of
from pleme_redis_django.jobs.definitions.definition import JobDefinition
from pleme_redis_django.jobs.definitions.options_of_job import NAMES_OF_JOB
from pleme_redis_django.jobs.definitions.registry import registry
from pleme_redis_django.jobs.interface.job import AnyJob
from pleme_redis_django.tasks_backend.api import InvalidTask, Task, TaskContext, normalize_json
from pleme_redis_django.tasks_backend.declaration import DeclaredTask
from pleme_redis_django.tasks_backend.results import running_result

P = ParamSpec("P")
R = TypeVar("R")

# What @task or job_options() says, and no ``using()`` changes: a worker reads it off the registry.
_DECLARED = ("unique", "schedule")
# What each enqueue says anew: here only to be checked where the task is declared.
_DEFAULTS = tuple(
    name for name in NAMES_OF_JOB if name not in (*_DECLARED, "name", "takes_context", "on_conflict")
)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TaskDefinition(DeclaredTask[P, R]):
    """A task that workers run as the job of its ``module_path``."""

    def run(self, job: AnyJob) -> Any:
        """Call the task as it was enqueued, with its TaskContext where it takes one."""
        parameters = self.checked_parameters(job.parameters)
        args, kwargs = as_call(self.signature, parameters) if self._has_places else ([], parameters)
        if self.takes_context:
            args.insert(0, TaskContext(task_result=running_result(job)))
        value = self.function(*args, **kwargs)
        # Most tasks return these, and to ask whether they can be awaited takes longer.
        if value is None or type(value) in _PLAIN:
            return value
        return _awaited(value) if inspect.isawaitable(value) else _plain(value)

    def as_enqueued(self) -> JobDefinition[P, R]:
        """Return what an enqueue through its backend stores: its own options, and the backend's where it says none.

        Raises EnqueueError for what the backend does not take any more, such as a queue that is gone from QUEUES.
        """
        backend = None if self.task is None else self.task.get_backend()
        as_enqueued = getattr(backend, "definition_as_enqueued", None)
        try:
            return self if as_enqueued is None else as_enqueued(self.task, 0)
        except InvalidTask as error:
            raise EnqueueError(f"{self.name}: {error}") from None

    @cached_property
    def _has_places(self) -> bool:
        """Whether an argument can only be given by position. Few functions have such a one, and each attempt asks."""
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)
        return any(parameter.kind in kinds for parameter in self.signature.parameters.values())


async def _awaited(value: Awaitable[Any]) -> Any:
    return _plain(await value)


_PLAIN = (str, int, float, bool)


def _plain(value: Any) -> Any:
    """Return a result as DEP 14 stores it; the engine refuses what JSON cannot hold, and names it."""
    if value is None or type(value) in _PLAIN:
        return value
    with suppress(TypeError, ValueError, RecursionError):
        return normalize_json(value)
    return value


def definition_of_task(task: Task[Any, Any], *, anew: bool = False) -> TaskDefinition[Any, Any]:
    """Return the definition that workers run the task by, adding it to the registry when it is new there.

    ``anew``: the task is declared again, with other options. Raises InvalidTask for options that ``@job``
    would refuse, and for a path that another function has.
    """
    declared = tuple(getattr(task, name, None) for name in _DECLARED)
    known = registry.find(task.module_path)
    if (
        isinstance(known, TaskDefinition)
        and not anew
        and known.function is task.func
        and known.declared == declared
    ):
        return known
    said: dict[str, Any] = {name: getattr(task, name, None) for name in (*_DECLARED, *_DEFAULTS)}
    options: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    try:
        definition = definition_of(
            task.func, TaskDefinition, name=task.module_path, takes_context=task.takes_context, **options
        )
        assert isinstance(definition, TaskDefinition)
        definition = dataclasses.replace(definition, task=task, declared=declared)
        registry.add(definition)
    except InvalidJobDefinition as error:
        raise InvalidTask(str(error)) from None
    return definition
