"""JobBackend: the backend that TASKS names; tasks are stored as jobs, and workers run them as jobs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import UUID

from django.core.checks import CheckMessage

from pleme_redis_django.conf import get_settings
from pleme_redis_django.exceptions import EnqueueError, InvalidJobDefinition
from pleme_redis_django.jobs.definitions.definition import JobDefinition
from pleme_redis_django.jobs.definitions.options import NAMES_OF_BOUNDS, PRIORITIES, RETRIES
from pleme_redis_django.jobs.definitions.uniqueness import UniqueMode, as_uniqueness
from pleme_redis_django.jobs.interface.bounds import Bounds
from pleme_redis_django.tasks_backend import announcements
from pleme_redis_django.tasks_backend.api import (
    BaseTaskBackend,
    InvalidTask,
    Task,
    TaskResult,
    TaskResultDoesNotExist,
    normalize_json,
)
from pleme_redis_django.tasks_backend.definition import definition_of_task
from pleme_redis_django.tasks_backend.enqueued import EnqueuePlan, plans
from pleme_redis_django.tasks_backend.job_task import JobTask
from pleme_redis_django.tasks_backend.options import BackendOptions, options_of
from pleme_redis_django.wording import did_you_mean

if TYPE_CHECKING:
    from pleme_redis_django.models import Job


class JobBackend(BaseTaskBackend):
    """A backend of django.tasks (DEP 14) whose tasks are rows of the job table.

    An enqueue inside ``atomic()`` on the job table's database commits with it; one inside a transaction of
    another database is refused (WrongTransaction), as every enqueue is.
    """

    task_class = JobTask
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def __init__(self, alias: str, params: Mapping[str, Any]) -> None:
        super().__init__(alias, dict(params))
        self._entry = params

    def validate_task(self, task: Task[Any, Any]) -> None:
        """Check a task, and have workers of this process know it. Raises InvalidTask."""
        self._check_queue(task.queue_name)
        self._check_numbers(task)
        _check_conflict(task)
        if isinstance(task.run_after, timedelta):
            # A copy without it checks the rest, as every task that is made does.
            dataclasses.replace(task, run_after=None)
            return
        if task.run_after is not None:
            self._check_run_after(task.run_after)
        super().validate_task(task)
        announcements.announce(definition_of_task(task))

    def enqueue(
        self, task: Task[Any, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> TaskResult[Any, Any]:
        """Store the task as a job; inside a transaction it exists once that commits.

        Raises InvalidTask, InvalidParameters, WrongTransaction or TypeError (an argument that is not JSON).
        """
        store, new_result = _parts()
        plan = self._plan_of(task)
        plain_args: Any = _normalized(args) if args else []
        plain_kwargs: Any = _normalized(kwargs) if kwargs else {}
        definition = plan.definition_for(len(plain_args))
        job = store(definition, definition.bind(tuple(plain_args), plain_kwargs))
        if not job.is_new:
            return self._result_of(job)
        result = new_result(job, task, plain_args, plain_kwargs)
        announcements.tell_enqueued(type(self), result)
        return result

    def get_result(self, result_id: str) -> TaskResult[Any, Any]:
        """Return the result of a task of this alias. Raises TaskResultDoesNotExist."""
        from pleme_redis_django.models import Job
        from pleme_redis_django.tasks_backend.results import backend_of

        jobs = Job._base_manager.using(get_settings().database).filter(deleted_at=None)
        job_id = _job_id(result_id)
        job = None if job_id is None else jobs.filter(pk=job_id).first()
        if job is None or backend_of(job) != self.alias:
            _no_result(self.alias, result_id)
        return self._result_of(job)

    def check(self, **_kwargs: Any) -> list[CheckMessage]:
        """Return what is wrong with this alias in TASKS."""
        from pleme_redis_django.tasks_backend.alias_checks import check_alias

        return list(check_alias(self.alias, self.queues, self.options))

    def checked_options(self) -> BackendOptions:
        """Return the OPTIONS of this alias. Raises InvalidSettings."""
        return options_of(self.alias, self.options)

    def definition_as_enqueued(self, task: Task[Any, Any], places: int) -> JobDefinition[Any, Any]:
        """Return a task's definition with the options of an enqueue; ``places``: its positional arguments."""
        return self._plan_of(task).definition_for(places)

    def _plan_of(self, task: Task[Any, Any]) -> EnqueuePlan:
        settings = get_settings()
        if (known := plans.find(task, self._entry, settings)) is not None:
            return known
        self.validate_task(task)
        plan = EnqueuePlan(
            task=task,
            entry=self._entry,
            settings=settings,
            definition=definition_of_task(task),
            defaults=self.checked_options(),
        )
        plans.keep(plan)
        return plan

    def _result_of(self, job: Job) -> TaskResult[Any, Any]:
        from pleme_redis_django.models import JobAttempt, model_label
        from pleme_redis_django.tasks_backend.results import needs_attempts, stored_result

        attempts: Sequence[JobAttempt] = ()
        if needs_attempts(job):
            kept = JobAttempt._base_manager.using(job._state.db)
            attempts = list(kept.filter(job_model=model_label(job), job_id=job.id).order_by("attempt"))
        return stored_result(job, self.alias, attempts)

    def _check_queue(self, queue_name: object) -> None:
        if self.queues and queue_name not in self.queues:
            place = f'TASKS["{self.alias}"]["QUEUES"]'
            accepted = f"{place} has {', '.join(sorted(self.queues))}."
            hint = did_you_mean(str(queue_name), self.queues, otherwise=accepted)
            raise InvalidTask(f"Queue '{queue_name}' is not valid for backend. {hint}")

    def _check_numbers(self, task: Task[Any, Any]) -> None:
        if not PRIORITIES.accepts(task.priority):
            raise InvalidTask(
                f"priority must be a whole number between -100 and 100. It is {task.priority!r}; higher runs first."
            )
        retries = getattr(task, "max_retries", None)
        if retries is not None and not RETRIES.accepts(retries):
            raise InvalidTask(f"max_retries is {retries!r}. Accepted: {RETRIES}, or None for the backend's.")

        said = {name: getattr(task, name, None) for name in NAMES_OF_BOUNDS}
        if fault := Bounds(**said).fault():
            raise InvalidTask(fault)

    def _check_run_after(self, run_after: object) -> None:
        # Not at import, where @task is called with none: this module imports models.
        from pleme_redis_django.enqueueing.due_times import checked_run_after

        try:
            checked_run_after(run_after)
        except EnqueueError as error:
            raise InvalidTask(f"run_after must be an aware datetime. {error}") from None


@cache
def _parts() -> tuple[Callable[..., Job], Callable[..., TaskResult[Any, Any]]]:
    # Not at import, where @task makes the backend: these modules import models. Not in each enqueue either.
    from pleme_redis_django.enqueueing.enqueuer import OrmEnqueuer
    from pleme_redis_django.tasks_backend.results import new_result

    return OrmEnqueuer().enqueue, new_result


def _normalized(value: Any) -> Any:
    try:
        return normalize_json(value)
    except RecursionError:
        return value  # The enqueue refuses it, in the words that it has for every job.


def _check_conflict(task: Task[Any, Any]) -> None:
    unique, key = getattr(task, "unique", None), getattr(task, "unique_key", None)
    if unique is None and key is not None:
        unique = UniqueMode.WHILE_RUNNING
    try:
        as_uniqueness(unique, getattr(task, "on_conflict", None))
    except InvalidJobDefinition as error:
        raise InvalidTask(str(error)) from None


def _job_id(result_id: object) -> UUID | None:
    try:
        return UUID(str(result_id))
    except ValueError:
        return None


def _no_result(alias: str, result_id: object) -> NoReturn:
    raise TaskResultDoesNotExist(
        f"The backend {alias!r} has no task result {str(result_id)[:64]!r}. It was deleted, its retention is over, "
        "or it is of another backend."
    )
