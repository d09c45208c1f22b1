"""Rows of enqueues that go through middleware: what each request came out as, checked, and put together to be inserted.

Without middleware nothing here is called.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from pleme_redis_django.enqueueing.rows import (
    checked_metadata_json,
    checked_parameters_json,
    enqueued_product,
    keys_and_line,
)
from pleme_redis_django.exceptions import InvalidParameters
from pleme_redis_django.jobs.definitions.definition import JobDefinition
from pleme_redis_django.jobs.definitions.options import OptionsOfUsing, frozen_options
from pleme_redis_django.jobs.definitions.uniqueness import parameters_key
from pleme_redis_django.middleware.enqueues import passed_through
from pleme_redis_django.middleware.request import EnqueueRequest
from pleme_redis_django.models import AbstractJob, new_job_id
from pleme_redis_django.orm_store.new_rows import NO_METADATA, NewRow, RowTemplate

# What the rows of one statement have in common, and middleware may change; their metadata beside it.
_SHARED = ("product", "queue_name", "priority", "run_after", "max_retries", "unique_key")
_shared_by_rows = operator.attrgetter(*_SHARED)

MakeTemplate = Callable[[JobDefinition[Any, Any]], RowTemplate]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RowGroup:
    """Rows of one call that one statement inserts, since they share all but parameters and keys."""

    template: RowTemplate
    rows: list[NewRow] = dataclasses.field(default_factory=list)
    places: list[int] = dataclasses.field(default_factory=list)
    """Of each row in the call."""


def requested_rows(
    definition: JobDefinition[Any, Any], parameters: Iterable[dict[str, Any]], make_template: MakeTemplate
) -> list[RowGroup]:
    """Return the rows of a call, each as its request came out of the middleware.

    Raises what middleware raises, and what an enqueue of such values would.
    """
    template = make_template(definition)

    def changed(given: EnqueueRequest, request: EnqueueRequest) -> RowTemplate:
        if _shares_all(given, request):
            text = checked_metadata_json(request.job_type, request.metadata)
            return dataclasses.replace(template, metadata_json=text)
        return make_template(_redefined(definition, request))

    metadata = MappingProxyType(template.metadata)
    groups: dict[Hashable, RowGroup] = {}
    for place, one in enumerate(parameters):
        given = _request(template, MappingProxyType(one), metadata)
        request = passed_through(given)
        key = None if _is_of(template, given, request) else _group_key(request)
        if key not in groups:
            groups[key] = RowGroup(template=template if key is None else changed(given, request))
        group = groups[key]
        own = one if request.parameters is given.parameters else _rechecked(definition, request.parameters)
        group.rows.append(_row(group.template, request, own))
        group.places.append(place)
    return list(groups.values())


def pass_instance_through(job: AbstractJob) -> None:
    """Have the middleware see and change an unsaved instance; what came out is checked as it always is."""
    values: tuple[object, ...] = (job.parameters, job.metadata)
    if not all(isinstance(value, dict) for value in values):
        return  # Refused in a moment, in the words for it.
    due: object = job.run_after  # Of an unsaved instance an expression, where nobody named a time.
    request = EnqueueRequest(
        job_type=job.job_type,
        parameters=MappingProxyType(job.parameters),
        metadata=MappingProxyType(job.metadata),
        product=enqueued_product(job.product or None),
        queue_name=job.queue_name,
        priority=job.priority,
        run_after=due if isinstance(due, datetime) else None,
        max_retries=job.max_retries,
        unique_key=None,
        is_unique=False,
    )
    result = passed_through(request)
    for name in ("product", "queue_name", "priority", "run_after", "max_retries"):
        if (value := getattr(result, name)) != getattr(request, name):
            setattr(job, name, value)
    stored = result.parameters if result.sealed is None else result.sealed.stored
    job.parameters, job.metadata = dict(stored), dict(result.metadata)


def _request(
    template: RowTemplate, parameters: Mapping[str, Any], metadata: Mapping[str, Any]
) -> EnqueueRequest:
    return EnqueueRequest(
        job_type=template.job_type,
        parameters=parameters,
        metadata=metadata,
        product=template.product,
        queue_name=template.queue_name,
        priority=template.priority,
        run_after=template.run_after,
        max_retries=template.max_retries,
        unique_key=template.unique_key,
        is_unique=template.uniqueness is not None,
    )


def _is_of(template: RowTemplate, given: EnqueueRequest, request: EnqueueRequest) -> bool:
    """Whether middleware has left alone all that the template says: then it is neither made nor checked again."""
    if request is not given and not (_shares_all(given, request) and request.metadata is given.metadata):
        return False
    # What is deeper in metadata can be changed where it is.
    text = template.metadata_json
    return text == NO_METADATA or checked_metadata_json(request.job_type, request.metadata) == text


def _shares_all(given: EnqueueRequest, request: EnqueueRequest) -> bool:
    """Whether these are the very objects that the request was given: others, though equal, are checked."""
    return all(map(operator.is_, _shared_by_rows(given), _shared_by_rows(request)))


def _group_key(request: EnqueueRequest) -> Hashable:
    return (
        request.product,
        request.queue_name,
        request.priority,
        request.run_after,
        request.max_retries,
        request.unique_key is None,
        checked_metadata_json(request.job_type, request.metadata),
    )


def _redefined(definition: JobDefinition[Any, Any], request: EnqueueRequest) -> JobDefinition[Any, Any]:
    said: OptionsOfUsing = {
        **definition.options,
        "product": request.product,
        "queue_name": request.queue_name,
        "priority": request.priority,
        "run_after": request.run_after,
        "max_retries": request.max_retries,
        "unique_key": request.unique_key,
        "metadata": dict(request.metadata),
    }
    return dataclasses.replace(definition, options=frozen_options(said))


def _rechecked(definition: JobDefinition[Any, Any], parameters: object) -> dict[str, Any]:
    if isinstance(parameters, Mapping):
        return definition.reencoded_parameters(parameters)
    raise InvalidParameters(
        f"Middleware made the parameters of {definition.name} {parameters!r:.60}. Accepted: a dict, by name."
    )


def _row(template: RowTemplate, request: EnqueueRequest, parameters: dict[str, Any]) -> NewRow:
    text = checked_parameters_json(template.job_type, parameters)
    slot = None
    if template.uniqueness is not None:
        key = parameters_key(parameters) if request.unique_key is None else request.unique_key
        slot = template.uniqueness.slot(template.job_type, key)
    keys = keys_and_line(template, parameters) if template.keys is not None else ()
    if request.sealed is not None:
        parameters = dict(request.sealed.stored)
        text = checked_parameters_json(template.job_type, parameters)
    return NewRow(new_job_id(), parameters, text, slot, *keys)
