"""@job: makes a job definition of a function and its options, and registers it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar, Unpack, overload

from pleme_redis_django.jobs.definitions.annotations import codecs_of
from pleme_redis_django.jobs.definitions.arguments import accepted_names, required_names
from pleme_redis_django.jobs.definitions.definition import JobDefinition
from pleme_redis_django.jobs.definitions.handler import (
    Handler,
    annotations_of,
    check_function,
    check_sync_only,
    handler_of,
    name_of,
)
from pleme_redis_django.jobs.definitions.handler_types import HandlerTypes
from pleme_redis_django.jobs.definitions.limits import as_limits
from pleme_redis_django.jobs.definitions.options_of_job import (
    DEFAULTS_OF_JOB,
    OptionsOfJob,
    checked_defaults,
    checked_errors,
    checked_name,
    checked_retry_delay,
    refusal_of_job,
)
from pleme_redis_django.jobs.definitions.registry import registry
from pleme_redis_django.jobs.definitions.schedule import as_schedules, refuse_unreplaceable, timing_of
from pleme_redis_django.jobs.definitions.uniqueness import as_uniqueness
from pleme_redis_django.jobs.interface.context import JobContext

P = ParamSpec("P")
R = TypeVar("R")


@overload
def job(function: Callable[Concatenate[JobContext, P], R], /) -> JobDefinition[P, R]: ...
@overload
def job(function: Callable[P, R], /) -> JobDefinition[P, R]: ...
@overload
def job(**options: Unpack[OptionsOfJob]) -> Callable[[Callable[..., R]], JobDefinition[..., R]]: ...
def job(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a module-level function, sync or async, a job that can be enqueued.

    All options are given by name; ``OptionsOfJob`` says what each means.

    Raises InvalidJobDefinition for a function or an option that is not accepted.
    """
    if function is not None:
        return _register(function, options)
    return lambda decorated: _register(decorated, options)


def _register(function: Callable[..., Any], options: dict[str, Any]) -> JobDefinition[Any, Any]:
    definition: JobDefinition[Any, Any] = definition_of(function, JobDefinition, **options)
    registry.add(definition)
    return definition


def definition_of(
    function: Callable[..., R],
    kind: type[JobDefinition[..., Any]] = JobDefinition,
    /,
    **options: Unpack[OptionsOfJob],
) -> JobDefinition[..., R]:
    """Return the definition of a handler. Raises InvalidJobDefinition for what is not accepted."""
    if unknown := options.keys() - OptionsOfJob.__annotations__.keys():
        raise refusal_of_job(unknown)
    said = {**DEFAULTS_OF_JOB, **options}
    check_function(function)
    check_sync_only(function, atomic=said.get("atomic"), isolated=said.get("isolated"))
    handler = handler_of(function, kind.context_parameter, takes_context=said["takes_context"])
    kind.check_parameters(function, handler.parameters)
    job_name = checked_name(name_of(function) if said.get("name") is None else said["name"])
    definition: JobDefinition[..., R] = kind(
        name=job_name,
        function=function,
        defaults=checked_defaults(said),
        retry_delay=checked_retry_delay(said.get("retry_delay")),
        retry_on=checked_errors("retry_on", said["retry_on"]),
        no_retry_on=checked_errors("no_retry_on", said["no_retry_on"]),
        unique=as_uniqueness(said.get("unique"), said.get("on_conflict")),
        takes_context=handler.takes_context,
        is_async=inspect.iscoroutinefunction(function),
        signature=handler.signature,
        required=required_names(handler.parameters),
        accepted=accepted_names(handler.parameters),
        types=_types_of(function, handler, job_name, reads_annotations=kind.reads_annotations),
        context_name=handler.context_name,
        limits=as_limits(said.get("limits"), job_name),
        schedules=as_schedules(said.get("schedule"), job_name),
    )
    return _with_schedules_checked(definition)


def _types_of(
    function: Callable[..., Any], handler: Handler, job_name: str, *, reads_annotations: bool
) -> HandlerTypes:
    source, signature = annotations_of(function, handler, read=reads_annotations)
    return HandlerTypes(job_name, partial(codecs_of, job_name, source, signature), module=source.__module__)


def _with_schedules_checked(definition: JobDefinition[..., R]) -> JobDefinition[..., R]:
    """Return the definition. Raises InvalidParameters or InvalidSchedule where a schedule does not fit it."""
    types_are_known = definition.types.prepare()
    for one in definition.schedules:
        refuse_unreplaceable(one.overlap, definition.unique, timing_of(one, "UTC"), definition.name)
        definition.checked_parameters(one.parameters)
        if types_are_known:
            definition.decoded_parameters(one.parameters)
    return definition
