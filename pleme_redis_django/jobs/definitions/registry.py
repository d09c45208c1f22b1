"""JobRegistry: every job definition of the process by its name, and running a job by its type."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ParamSpec, TypeVar

from pleme_redis_django.exceptions import InvalidJobDefinition, UnknownJobType
from pleme_redis_django.jobs.definitions.definition import JobDefinition
from pleme_redis_django.jobs.definitions.limits import NO_LIMITS
from pleme_redis_django.jobs.definitions.stored_rules import function_at
from pleme_redis_django.jobs.interface.job import AnyJob
from pleme_redis_django.wording import did_you_mean

P = ParamSpec("P")
R = TypeVar("R")


class JobRegistry:
    """Every job definition of the process, by name."""

    def __init__(self) -> None:
        self.packages: set[str] = set()
        """Those that have jobs: functions of others are not called because a row names them."""
        self._definitions: dict[str, JobDefinition[Any, Any]] = {}
        self._specs: dict[str, object] = {}
        """Of the modules, as they were when the jobs were added: a reload makes new ones."""
        self.changes = 0
        """How often a definition was added: what was worked out from them holds while it stays the same."""

    def add(self, definition: JobDefinition[Any, Any]) -> None:
        """Keep the definition. Raises InvalidJobDefinition if another function has its name."""
        known = self._definitions.get(definition.name)
        if known is not None and not self._is_reload(known, definition):
            raise InvalidJobDefinition(
                f'Two jobs are named "{definition.name}": {_place_of(known)} and {_place_of(definition)}. '
                "Give one of them another name: @job(name=...)."
            )
        self._definitions[definition.name] = definition
        self.packages.add(definition.function.__module__.partition(".")[0])
        self.changes += 1
        self._specs[definition.name] = _spec_of(definition)

    def _is_reload(self, known: JobDefinition[Any, Any], new: JobDefinition[Any, Any]) -> bool:
        """Whether a module defines its function anew, as a reload does; not two functions of one name in it."""
        if known.function_path != new.function_path:
            return False
        if known.function.__globals__ is not new.function.__globals__:
            return True
        is_reloaded = self._specs[new.name] is not _spec_of(new)
        return is_reloaded or known.function.__code__.co_firstlineno == new.function.__code__.co_firstlineno

    def get(self, name: str) -> JobDefinition[Any, Any]:
        """Return the definition of that name. Raises UnknownJobType, naming the nearest known one."""
        try:
            return self._definitions[name]
        except KeyError:
            raise UnknownJobType(_unknown_message(name, self._definitions)) from None

    def find(self, name: str) -> JobDefinition[Any, Any] | None:
        return self._definitions.get(name)

    def __iter__(self) -> Iterator[JobDefinition[Any, Any]]:
        return iter(list(self._definitions.values()))


registry = JobRegistry()
"""The registry that ``@job`` fills and workers run."""


class RegistryExecutor:
    """Runs a job by calling the handler that its type names."""

    def __init__(self, jobs: JobRegistry = registry) -> None:
        self._registry = jobs

    def execute(self, job: AnyJob) -> Any:
        """Call the handler with the job's parameters; the result of an async one is a coroutine.

        Raises InvalidParameters when the parameters no longer fit the handler.
        """
        return self._registry.get(job.job_type).run(job)

    def sync_job_types(self) -> frozenset[str]:
        """Return the types whose handlers run in threads."""
        return frozenset(definition.name for definition in self._registry if not definition.is_async)

    def async_job_types(self) -> frozenset[str]:
        """Return the types whose handlers run in the event loop."""
        return frozenset(definition.name for definition in self._registry if definition.is_async)

    def limited_job_types(self) -> frozenset[str]:
        """Return the types that declare limits or an order."""
        return frozenset(
            definition.name for definition in self._registry if definition.limits is not NO_LIMITS
        )

    def has_isolated_jobs(self) -> bool:
        """Whether a handler says that it is to run in a process of its own."""
        return any(definition.bounds.isolated for definition in self._registry)

    def retry_rules(
        self, job_type: str
    ) -> tuple[tuple[type[BaseException], ...], tuple[type[BaseException], ...]]:
        """Return the ``retry_on`` and ``no_retry_on`` of a type; an unknown one has none."""
        try:
            definition = self._registry.get(job_type)
        except UnknownJobType:
            return (), ()
        return definition.retry_on, definition.no_retry_on

    def retry_delay_of(self, job_type: str) -> Callable[[int, BaseException], float] | None:
        """Return the ``retry_delay`` of a type; None: it has none, or is unknown."""
        try:
            return self._registry.get(job_type).retry_delay
        except UnknownJobType:
            return None

    def function_at(self, path: str) -> Callable[[int, BaseException], float] | None:
        """Return the function that a row names; None: there is none that a row may name."""
        return function_at(path, self._registry.packages)


def _spec_of(definition: JobDefinition[Any, Any]) -> object:
    return getattr(sys.modules.get(definition.function.__module__), "__spec__", None)


def _place_of(definition: JobDefinition[Any, Any]) -> str:
    return f"{definition.function_path} (line {definition.function.__code__.co_firstlineno})"


def _unknown_message(name: str, known: Iterable[str]) -> str:
    hint = did_you_mean(name, known, otherwise="Is its module imported? Every installed app's jobs.py is.")
    return f"No job is named {str(name)[:200]!r}. {hint}"
