"""From a task and its options to the job definition that one enqueue stores."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from pleme_redis_django.jobs.definitions.options import NAMES_OF_RULES, OptionsOfEnqueue, frozen_options
from pleme_redis_django.jobs.definitions.registry import registry
from pleme_redis_django.jobs.definitions.uniqueness import as_uniqueness
from pleme_redis_django.jobs.interface.context import current_job_context
from pleme_redis_django.tasks_backend.api import Task
from pleme_redis_django.tasks_backend.declaration import MARK, DeclaredTask
from pleme_redis_django.tasks_backend.options import BackendOptions

PLANS_MAX = 1_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EnqueuePlan:
    """What all enqueues of one task share, checked at the first of them: tasks are frozen."""

    task: Task[Any, Any]
    entry: object
    """The entry of TASKS and the settings of the package. Both are new objects once they change."""
    settings: object
    definition: DeclaredTask[Any, Any]
    defaults: BackendOptions
    by_call: dict[tuple[int, bool], DeclaredTask[Any, Any]] = dataclasses.field(default_factory=dict)

    def definition_for(self, places: int) -> DeclaredTask[Any, Any]:
        """Return the definition of one enqueue, ``places`` of whose arguments were given by their place."""
        if isinstance(self.task.run_after, timedelta):
            return enqueued_as(self.task, self.definition, self.defaults, places)
        call = (places, current_job_context() is None)
        if (known := self.by_call.get(call)) is None:
            known = self.by_call[call] = enqueued_as(self.task, self.definition, self.defaults, places)
        return known


class EnqueuePlans:
    """The plans of the process, by the id() of their tasks, which stay alive as long as their plans."""

    def __init__(self) -> None:
        self._plans: dict[int, EnqueuePlan] = {}

    def find(self, task: Task[Any, Any], entry: object, settings: object) -> EnqueuePlan | None:
        """Return the plan of a task; None: there is none, or the settings have changed since."""
        plan = self._plans.get(id(task))
        if plan is None or plan.entry is not entry or plan.settings is not settings:
            return None
        return plan if registry.find(plan.definition.name) is plan.definition else None

    def keep(self, plan: EnqueuePlan) -> None:
        """Keep a plan. Tasks that ``using()`` makes for one enqueue have one too: all go once there are many."""
        if len(self._plans) >= PLANS_MAX:
            self._plans.clear()
        self._plans[id(plan.task)] = plan


plans = EnqueuePlans()


def enqueued_as(
    task: Task[Any, Any], definition: DeclaredTask[Any, Any], defaults: BackendOptions, places: int
) -> DeclaredTask[Any, Any]:
    """Return the definition of one enqueue, ``places`` of whose arguments were given by their place."""
    run_after = task.run_after
    if isinstance(run_after, timedelta):
        run_after = timezone.now() + run_after
    said = frozen_options({**_said(task, defaults), "run_after": run_after})
    return dataclasses.replace(
        definition,
        # Not among its options: what it stores is then worked out once.
        defaults=frozen_options({**definition.defaults, **_without_rules_of(definition, said)}),
        unique=as_uniqueness(getattr(task, "unique", None)),
        marks={MARK: _mark(task.backend, places, run_after)},
    )


_SAID = tuple(OptionsOfEnqueue.__annotations__)


def _said(task: Task[Any, Any], defaults: BackendOptions) -> dict[str, Any]:
    # A task that was declared where TASKS named another backend has no fields but those of DEP 14.
    said = {name: getattr(task, name, None) for name in _SAID}
    for name, of_alias in (("timeout", defaults.timeout), ("max_retries", defaults.max_retries)):
        if said[name] is None:
            said[name] = of_alias
    return {**said, "product": _product(task, defaults)}


def _without_rules_of(definition: DeclaredTask[Any, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is said without those retry rules that the task was declared with: a row keeps those of using()."""
    return {
        name: value
        for name, value in said.items()
        if name not in NAMES_OF_RULES or not _is_declared(value, getattr(definition, name))
    }


def _is_declared(value: Any, declared: object) -> bool:
    if value == ():
        return True  # What a task has that says nothing; an empty list says that there are none.
    if isinstance(value, list | set | frozenset):
        value = tuple(value)
    return value is declared or bool(value == declared or (value,) == declared)


def _mark(backend: str, places: int, run_after: datetime | None) -> Mapping[str, Any]:
    mark: dict[str, Any] = {"backend": backend}
    if places:
        mark["places"] = places
    if run_after is not None:
        mark["run_after"] = run_after.isoformat()
    return mark


def _product(task: Task[Any, Any], defaults: BackendOptions) -> str | None:
    own: str | None = getattr(task, "product", None)
    # What a running job enqueues belongs to its product, as everywhere.
    return defaults.product if own is None and current_job_context() is None else own
