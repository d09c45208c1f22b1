"""Whether a failed attempt is tried again, and what says when: its row, else its ``@job``, else the pool."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from pleme_redis_django.exceptions import InvalidSettings
from pleme_redis_django.jobs.definitions.stored_rules import RetryDelay, error_class_at
from pleme_redis_django.jobs.interface.executor import JobExecutor
from pleme_redis_django.jobs.interface.failures import Kinds, is_retryable, note
from pleme_redis_django.jobs.interface.job import AnyJob
from pleme_redis_django.jobs.interface.worker_pool_config import WorkerPoolConfig


class RetryRules:
    """The rules of a pool's jobs. What a row says and is not accepted is passed over."""

    def __init__(self, executor: JobExecutor[Any], config: WorkerPoolConfig) -> None:
        self._errors_of_type = getattr(executor, "retry_rules", None)
        self._delay_of_type = getattr(executor, "retry_delay_of", None)
        self._function_at = getattr(executor, "function_at", None)
        self.delay_of_pool = rule_of_pool(config)
        """The function that says the delay where a job says nothing; None: the backoff does."""
        self._errors_of_pool = errors_of_pool(config)

    def allow(self, job: AnyJob, error: BaseException) -> bool:
        """Whether there is another attempt after this error. Raises what the project's code raises."""
        if not job.can_retry():
            return False
        of_type: tuple[Kinds, Kinds] = ((), ())
        if self._errors_of_type is not None:
            retry_on, no_retry_on = self._errors_of_type(job.job_type)
            of_type = tuple(retry_on), tuple(no_retry_on)
        rules = (
            _first(_paths(job, name), of_this_type, of_pool)
            for name, of_this_type, of_pool in zip(_ERRORS, of_type, self._errors_of_pool, strict=True)
        )
        return is_retryable(error, *rules)

    def delay_of(self, job: AnyJob, error: BaseException) -> RetryDelay | None:
        """Return the function that says the delay of this job, by its row or its ``@job``; None: there is none."""
        path = _said(job, "retry_delay")
        if isinstance(path, str):
            rule: RetryDelay | None = None if self._function_at is None else self._function_at(path)
            if rule is not None:
                return rule
            note(
                error,
                f"The job's retry_delay is {path[:200]!r}, which this code does not have; it was passed over.",
            )
        return None if self._delay_of_type is None else self._delay_of_type(job.job_type)


_ERRORS = ("retry_on", "no_retry_on")


def rule_of_pool(config: WorkerPoolConfig) -> RetryDelay | None:
    """Return the function that the pool's ``retry_delay`` names. Raises InvalidSettings where there is none."""
    path = config.retry_delay
    if path is None:
        return None
    accepted = "Accepted: the dotted path of a function of the retry's number and the exception."
    try:
        module, _dot, name = path.rpartition(".")
        function = getattr(importlib.import_module(module), name)
    except (AttributeError, ImportError, ValueError) as error:
        raise InvalidSettings(
            f"retry_delay is {path!r}, which cannot be imported: {error}. {accepted}"
        ) from None
    if not callable(function) or inspect.iscoroutinefunction(function):
        raise InvalidSettings(f"retry_delay is {path!r}, which is {function!r:.80}. {accepted}")
    rule: RetryDelay = function
    return rule


def errors_of_pool(config: WorkerPoolConfig) -> tuple[Kinds, Kinds]:
    """Return the exception classes that the pool's ``retry_on`` and ``no_retry_on`` name. Raises InvalidSettings."""
    return _classes("retry_on", config.retry_on), _classes("no_retry_on", config.no_retry_on)


def _classes(name: str, paths: Iterable[str]) -> tuple[type[BaseException], ...]:
    classes = []
    for path in paths:
        kind = error_class_at(path)
        if not isinstance(kind, type) or not issubclass(kind, BaseException):
            raise InvalidSettings(f"{name} has {path!r}. Accepted: the dotted path of an exception class.")
        classes.append(kind)
    return tuple(classes)


def _first(of_row: list[str] | None, of_type: Kinds, of_pool: Kinds) -> Kinds:
    """Return what the first of them says; of a row, no class is something to say."""
    if of_row is not None:
        return of_row
    return of_type or of_pool


def _paths(job: AnyJob, name: str) -> list[str] | None:
    said = _said(job, name)
    return [path for path in said if isinstance(path, str)] if isinstance(said, list) else None


def _said(job: AnyJob, name: str) -> Any:
    with suppress(Exception):  # The job model is the project's.
        if isinstance(job.configuration, Mapping):
            return job.configuration.get(name)
    return None
