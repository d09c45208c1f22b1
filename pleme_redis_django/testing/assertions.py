"""assert_enqueued: asserts which jobs the code under test has enqueued."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from asgiref.sync import sync_to_async

from pleme_redis_django.conf import get_settings
from pleme_redis_django.exceptions import InvalidParameters
from pleme_redis_django.jobs.definitions.definition import JobDefinition
from pleme_redis_django.jobs.definitions.registry import registry
from pleme_redis_django.middleware.encryption.reading import parameters_if_readable
from pleme_redis_django.models import AbstractJob, Job
from pleme_redis_django.wording import shortened

LISTED_JOBS = 10
_VALUE_LENGTH = 60
# What .using() may have set, in the words of the row.
_OPTIONS = ("product", "queue_name", "priority", "run_after", "max_retries")


def assert_enqueued(
    job: JobDefinition[Any, Any] | str | type[AbstractJob], times: int | None = None, /, **parameters: Any
) -> list[Any]:
    """Assert that the job was enqueued with these parameters, among others; return the matching jobs.

    ``job`` is what was enqueued: a ``@job``, its name, or a job model of your own. A ``@job`` with
    options, as in ``send.using(product="novaskyn")``, matches only jobs that were enqueued so.
    ``times``, by position, is how often exactly; without it, at least once; 0 asserts that it was
    not. Jobs count whatever has become of them since, deleted ones included.

    Raises AssertionError, which lists what was enqueued instead, and InvalidParameters for a
    parameter that the job does not have.
    """
    if isinstance(job, type):
        name, options, rows = job.__name__, {}, _rows(job)
        own = rows
    else:
        definition = registry.get(job) if isinstance(job, str) else job
        _check_names(definition, parameters)
        parameters = {name: _stored(definition, name, value) for name, value in parameters.items()}
        name, options, rows = definition.name, _options(definition), _rows(Job)
        own = [row for row in rows if row.job_type == name]
    found = [row for row in own if _matches(row, options, parameters)]
    if len(found) == times or (times is None and found):
        return found
    others = Counter(row.job_type for row in rows if row not in own)
    raise AssertionError(_message(name, times, len(found), {**options, **parameters}, own, others))


aassert_enqueued = sync_to_async(assert_enqueued)
"""Async twin of ``assert_enqueued``."""


def _check_names(definition: JobDefinition[Any, Any], parameters: Mapping[str, Any]) -> None:
    unknown = sorted(parameters.keys() - definition.accepted) if definition.accepted is not None else []
    if unknown:
        raise InvalidParameters(
            f"{definition.name}{definition.signature} has no parameter {', '.join(unknown)}, so that no job can have "
            "been enqueued with it."
        )


def _stored(definition: JobDefinition[Any, Any], name: str, value: Any) -> Any:
    """Return a value as it is stored, or unchanged if the annotation does not accept it, such as mock.ANY."""
    try:
        return definition.types.encoded({name: value})[name]
    except InvalidParameters:
        return value


def _rows(model: type[AbstractJob]) -> list[Any]:
    return list(model._base_manager.using(get_settings().database).order_by("created_at", "id"))


def _options(definition: JobDefinition[Any, Any]) -> dict[str, Any]:
    return {name: value for name, value in definition.options.items() if name in _OPTIONS}


def _matches(row: Any, options: Mapping[str, Any], parameters: Mapping[str, Any]) -> bool:
    stored = parameters_if_readable(row)
    return all(getattr(row, name) == value for name, value in options.items()) and all(
        name in stored and stored[name] == value for name, value in parameters.items()
    )


def _message(
    name: str,
    times: int | None,
    found: int,
    wanted: Mapping[str, Any],
    own: Sequence[Any],
    others: Counter[str],
) -> str:
    expected = "at least once" if times is None else f"exactly {times} times"
    lines = [
        f"{name} was enqueued {found} times with {_described(wanted) or 'any parameters'}, and has to be {expected}."
    ]
    lines += [
        f"  {row.status} in {row.product}/{row.queue_name}: {_described(parameters_if_readable(row))}"
        for row in own[:LISTED_JOBS]
    ]
    if len(own) > LISTED_JOBS:
        lines.append(f"  and {len(own) - LISTED_JOBS} more")
    listed = ", ".join(f"{job_type} ({count})" for job_type, count in others.most_common(LISTED_JOBS))
    lines.append(f"Other jobs: {listed or 'none'}.")
    return "\n".join(lines)


def _described(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name}={shortened(repr(value), characters=_VALUE_LENGTH)}" for name, value in values.items()
    )
