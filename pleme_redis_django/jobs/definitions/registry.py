"""@job: turns a function into a job definition, keeps every definition, and runs them by type."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from pleme_redis_django.exceptions import InvalidJobDefinition, UnknownJobType
from pleme_redis_django.jobs.definitions.definition import JobDefinition, definition_of
from pleme_redis_django.jobs.definitions.schedule import DeclaredSchedule
from pleme_redis_django.jobs.definitions.uniqueness import Uniqueness
from pleme_redis_django.jobs.interface.context import JobContext
from pleme_redis_django.jobs.interface.job import AnyJob
from pleme_redis_django.jobs.interface.queue_names import DEFAULT_QUEUE_NAME
from pleme_redis_django.wording import did_you_mean

P = ParamSpec("P")
R = TypeVar("R")


class JobRegistry:
    """Every job definition of the process, by name."""

    def __init__(self) -> None:
        self._definitions: dict[str, JobDefinition[Any, Any]] = {}
        self._specs: dict[str, object] = {}
        """Of the modules, as they were when the jobs were added: a reload makes new ones."""

    def add(self, definition: JobDefinition[Any, Any]) -> None:
        """Keep the definition. Raises InvalidJobDefinition when its name is another function's."""
        known = self._definitions.get(definition.name)
        if known is not None and not self._is_reload(known, definition):
            raise InvalidJobDefinition(
                f'Two jobs are named "{definition.name}": {_place_of(known)} and {_place_of(definition)}. '
                "Give one of them another name: @job(name=...)."
            )
        self._definitions[definition.name] = definition
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
        """Return the definition of that name; None: there is none."""
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


@overload
def job(function: Callable[Concatenate[JobContext, P], R], /) -> JobDefinition[P, R]: ...
@overload
def job(function: Callable[P, R], /) -> JobDefinition[P, R]: ...
@overload
def job(
    *,
    name: str | None = None,
    queue_name: str = DEFAULT_QUEUE_NAME,
    priority: int = 0,
    max_retries: int | None = None,
    base_retry_delay: float | None = None,
    retry_delay: Callable[[int, BaseException], float] | None = None,
    retry_on: Iterable[type[BaseException]] = (),
    no_retry_on: Iterable[type[BaseException]] = (),
    unique: Uniqueness | str | None = None,
    on_conflict: str | None = None,
    timeout: float | None = None,
    kill_after: float | None = None,
    interrupt: bool | None = None,
    retry_on_timeout: bool | None = None,
    atomic: bool | None = None,
    isolated: bool | None = None,
    deadline: float | None = None,
    takes_context: bool = False,
    schedule: DeclaredSchedule | Iterable[DeclaredSchedule] | None = None,
) -> Callable[[Callable[..., R]], JobDefinition[..., R]]: ...
def job(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a module-level function, sync or async, a job that can be enqueued.

    Options, all by name:

    - ``name``: what rows store; default ``module.function``. Name a job before you move it.
    - ``queue_name``: default "default". ``priority``: -100 to 100, higher first; default 0.
    - ``max_retries``: default the pool's (3). ``base_retry_delay``: seconds; default the pool's (60).
    - ``retry_delay``: a function of the retry's number (the first is 1) and of what was raised that returns
      the seconds until that retry, instead of the backoff.
    - ``retry_on``, ``no_retry_on``: exception classes; ``no_retry_on`` wins.
    - ``unique``: "while_waiting", "while_running" or ``once_per(seconds)``: one job at a time with
      the same parameters; the second enqueue returns the first job.
    - ``on_conflict``: what that enqueue does to the first job while it waits: "keep" (nothing), "replace"
      (gives it its parameters and due time: the last call wins) or "extend" (its due time alone).
    - ``timeout``: seconds that an attempt may run; then JobTimeout is raised in the handler, or its task is
      cancelled. ``kill_after``: seconds beyond it after which the attempt is ended without its handler, and
      the process replaced. ``interrupt=False``: the handler asks ``ctx.remaining()`` and
      ``ctx.cancel_requested`` itself. ``retry_on_timeout=False``: an attempt that timed out fails for good.
    - ``atomic``: what the handler writes and its ending commit together, in one transaction on the job's
      database; a plain function alone.
    - ``isolated``: the handler runs in a process of its own: a crash, a leak or a hang ends that process alone. A
      plain function alone.
    - ``deadline``: seconds after the enqueue by which the job has to have started, or it never does.
    - ``takes_context``: give the handler a JobContext as its first argument; also when its first
      parameter is named ``ctx``.
    - ``schedule``: ``cron("0 3 * * *")``, ``every(300)``, or a list of them: a job at each of their ticks.

    Raises InvalidJobDefinition for a function or an option that is not accepted.
    """
    if function is not None:
        return _register(function, options)
    return lambda decorated: _register(decorated, options)


def _register(function: Callable[..., Any], options: dict[str, Any]) -> JobDefinition[Any, Any]:
    unknown = sorted(options.keys() - _OPTIONS)
    if unknown:
        accepted = f"Accepted: {', '.join(sorted(_OPTIONS))}."
        hint = did_you_mean(unknown[0], _OPTIONS, otherwise=accepted)
        raise InvalidJobDefinition(f"@job has no option {unknown[0]!r}. {hint}")
    definition = definition_of(function, **options)
    registry.add(definition)
    return definition


_OPTIONS = frozenset(inspect.signature(definition_of).parameters) - {"function", "kind"}


def _spec_of(definition: JobDefinition[Any, Any]) -> object:
    return getattr(sys.modules.get(definition.function.__module__), "__spec__", None)


def _place_of(definition: JobDefinition[Any, Any]) -> str:
    return f"{definition.function_path} (line {definition.function.__code__.co_firstlineno})"


def _unknown_message(name: str, known: Iterable[str]) -> str:
    hint = did_you_mean(name, known, otherwise="Is its module imported? Every installed app's jobs.py is.")
    return f"No job is named {str(name)[:200]!r}. {hint}"
