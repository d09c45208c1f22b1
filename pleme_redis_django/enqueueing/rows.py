"""New rows of jobs: from a definition and its parameters to checked, storable values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from django.core.exceptions import ValidationError
from django.db.models.expressions import DatabaseDefault

from pleme_redis_django.conf import get_settings, resolve_product
from pleme_redis_django.enqueueing.due_times import checked_run_after
from pleme_redis_django.enqueueing.keys import keys_of
from pleme_redis_django.enqueueing.pools import refuse_unkept_order
from pleme_redis_django.exceptions import EnqueueError, InvalidName, InvalidParameters, NotJson
from pleme_redis_django.jobs.definitions.definition import JobDefinition
from pleme_redis_django.jobs.definitions.handler import sync_only
from pleme_redis_django.jobs.definitions.limits import COSTS, KEYS
from pleme_redis_django.jobs.definitions.options import (
    NAMES_OF_BOUNDS,
    NAMES_OF_RULES,
    RETRIES,
    OptionsOfUsing,
    bounds_of,
    check_ranges,
    checked_priority,
)
from pleme_redis_django.jobs.definitions.registry import registry
from pleme_redis_django.jobs.definitions.stored_rules import path_of_retry_delay, paths_of_errors
from pleme_redis_django.jobs.definitions.uniqueness import (
    UniqueMode,
    Uniqueness,
    parameters_key,
    with_conflict,
)
from pleme_redis_django.jobs.interface.bounds import TIMEOUTS, Bounds
from pleme_redis_django.jobs.interface.context import current_job_context
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.jobs.interface.json_text import to_json
from pleme_redis_django.jobs.interface.queue_names import validate_queue_name
from pleme_redis_django.models import AbstractJob, new_job_id
from pleme_redis_django.orm_store.flow.gates import line_of
from pleme_redis_django.orm_store.new_rows import NO_METADATA, NewRow, RowTemplate, said_by_options
from pleme_redis_django.wording import shortened

_CONFIGURATION_MAX_BYTES = 64 * 1024


def template_of(
    definition: JobDefinition[Any, Any], pool_max_retries: int, pool_deadline: float | None = None
) -> RowTemplate:
    """Return what an enqueue of the definition stores. Raises EnqueueError or InvalidProduct."""
    options: OptionsOfUsing = {**definition.defaults, **definition.options}
    check_ranges(options)
    bounds = _bounds(definition, options)
    _check_queue_name(options["queue_name"])
    checked_priority(options["priority"], EnqueueError)
    expires_at = checked_run_after(options.get("expires_at"), "expires_at")
    return RowTemplate(
        job_type=definition.name,
        product=enqueued_product(options.get("product")),
        run_after=checked_run_after(options.get("run_after")),
        expires_at=expires_at,
        expires_in_seconds=None if expires_at is not None else bounds.deadline or pool_deadline,
        max_retries=_max_retries(options.get("max_retries", pool_max_retries)),
        configuration_json=_configuration_json(definition, options, bounds),
        uniqueness=_uniqueness(definition, options),
        unique_key=options.get("unique_key"),
        metadata_json=checked_metadata_json(definition.name, options["metadata"])
        if "metadata" in options
        else NO_METADATA,
        keys=keys_of(definition, options),
        cost=definition.limits.cost,
        **said_by_options(options),
    )


def _bounds(definition: JobDefinition[Any, Any], options: OptionsOfUsing) -> Bounds:
    """Return the bounds of the enqueue, else those of the definition; what is left is the pool's."""
    bounds = bounds_of(options)
    # A template that is kept has them looked at once; ``using()`` mostly makes one for one enqueue.
    if definition.options and definition.options.keys().isdisjoint(NAMES_OF_BOUNDS):
        return bounds
    if fault := bounds.fault():
        raise EnqueueError(fault)
    if definition.is_async and (refusal := sync_only(atomic=bounds.atomic, isolated=bounds.isolated)):
        raise EnqueueError(f"{definition.name}: {refusal}")
    return bounds


def _configuration_json(
    definition: JobDefinition[Any, Any], options: OptionsOfUsing, bounds: Bounds
) -> str | None:
    said: Mapping[str, Any] = options
    own = {name: said[name] for name in ("base_retry_delay", "max_retry_delay") if name in said}
    configuration = own | stored_rules(said) | bounds.stored() | dict(definition.marks or {})
    return to_json(configuration, max_bytes=_CONFIGURATION_MAX_BYTES) if configuration else None


def stored_rules(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the retry rules among what is said as a row keeps them. Raises EnqueueError."""
    if said.keys().isdisjoint(NAMES_OF_RULES):
        return {}
    rules: dict[str, Any] = {
        name: paths_of_errors(name, said[name]) for name in ("retry_on", "no_retry_on") if name in said
    }
    if "retry_delay" in said:
        rules["retry_delay"] = path_of_retry_delay(said["retry_delay"], registry.packages)
    return rules


def new_row(template: RowTemplate, parameters: dict[str, Any]) -> NewRow:
    """Return a row for these parameters. Raises InvalidParameters when JSON cannot hold them."""
    text = _checked_json("parameters", template.job_type, parameters)
    slot = None
    if template.uniqueness is not None:
        key = parameters_key(parameters) if template.unique_key is None else template.unique_key
        slot = template.uniqueness.slot(template.job_type, key)
    if template.keys is None:
        return NewRow(new_job_id(), parameters, text, slot)
    return NewRow(new_job_id(), parameters, text, slot, *keys_and_line(template, parameters))


def keys_and_line(
    template: RowTemplate, parameters: dict[str, Any]
) -> tuple[str | None, str | None, str | None]:
    """Return the concurrency key, the order key, and what a new row waits at. Raises EnqueueError."""
    if template.keys is None:
        return None, None, None
    concurrency_key, order_key = template.keys.of(parameters)
    waits_in_line = order_key is not None and template.run_after is None
    return concurrency_key, order_key, line_of(template.product, str(order_key)) if waits_in_line else None


def prepare_instance(job: AbstractJob) -> None:
    """Check an unsaved instance as an enqueue of a ``@job`` is checked, and fill in what it left out.

    Raises EnqueueError, InvalidParameters or InvalidProduct.
    """
    if not job._state.adding:
        raise EnqueueError(
            f"The job {job.id} is stored already. Accepted: an unsaved instance, which enqueue() saves."
        )
    job.product = enqueued_product(job.product or None)
    _check_queue_name(job.queue_name)
    checked_priority(job.priority, EnqueueError)
    _max_retries(job.max_retries)
    checked_parameters_json(job.job_type, job.parameters)
    checked_metadata_json(job.job_type, job.metadata)
    _check_configuration(job.configuration)
    if job.timeout_seconds is not None and not TIMEOUTS.accepts(job.timeout_seconds):
        raise EnqueueError(f"timeout_seconds is {job.timeout_seconds!r}. Accepted: {TIMEOUTS}, or None.")
    job.expires_at = checked_run_after(job.expires_at, "expires_at")
    if not isinstance(job.run_after, DatabaseDefault):
        # Only the database's clock says whether the time is past: a claimer promotes the row.
        job.run_after = checked_run_after(job.run_after)  # type: ignore[assignment]  # only None gives None
        job.status = JobStatus.PENDING
    _check_keys(job)
    if job.order_key is not None:
        refuse_unkept_order(type(job), job.queue_name)
    if job.order_key is not None and job.status == JobStatus.QUEUED:
        job.status, job.blocked_on = JobStatus.BLOCKED, line_of(job.product, job.order_key)
    try:
        job.full_clean(validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        faults = "; ".join(f"{field}: {' '.join(texts)}" for field, texts in error.message_dict.items())
        raise EnqueueError(f"This {type(job).__name__} is refused: {faults}") from None


def _check_keys(job: AbstractJob) -> None:
    for field in ("concurrency_key", "order_key"):
        value = getattr(job, field)
        if value is not None and not KEYS.accepts(value):
            raise EnqueueError(f"{field} is {shortened(repr(value))}. Accepted: {KEYS}, or None.")
    if not COSTS.accepts(job.cost):
        raise EnqueueError(f"cost is {job.cost!r}. Accepted: {COSTS}.")


def enqueued_product(product: str | None) -> str:
    """Return the product of a new job: the given one, else the running job's, else the settings'."""
    context = current_job_context()
    if product is None and context is not None and context.product is not None:
        return context.product
    return resolve_product(product)


def checked_parameters_json(job_type: str, parameters: object) -> str:
    """Return the parameters as JSON text. Raises InvalidParameters when JSON does not keep them."""
    return _checked_json("parameters", job_type, parameters)


def checked_metadata_json(job_type: str, metadata: object) -> str:
    """Return the metadata as JSON text. Raises InvalidParameters unless they are a JSON object."""
    if isinstance(metadata, Mapping):
        return _checked_json("metadata", job_type, dict(metadata))
    raise InvalidParameters(
        f"The metadata of {job_type} are {repr(metadata)[:60]}. Accepted: a JSON object, such as "
        '{"order": 123}.'
    )


def _checked_json(noun: str, job_type: str, value: object) -> str:
    try:
        return to_json(value, max_bytes=get_settings().max_parameters_bytes)
    except NotJson as error:
        raise InvalidParameters(
            f"The {noun} of {job_type} are refused: {error}. Accepted: what JSON gives back unchanged "
            "(text, numbers, true, false, null, lists, and dicts with text keys)."
        ) from None


def _check_queue_name(name: object) -> None:
    try:
        validate_queue_name(name)
    except InvalidName as error:
        raise EnqueueError(str(error)) from None


def _check_configuration(configuration: object) -> None:
    if configuration is not None and not isinstance(configuration, dict):
        raise EnqueueError(
            f"configuration is {repr(configuration)[:60]}. Accepted: a dict, such as "
            '{"base_retry_delay": 30}, or None.'
        )
    if configuration is not None:
        stored_rules({name: value for name, value in configuration.items() if value is not None})


def _max_retries(value: object) -> int:
    if RETRIES.accepts(value):
        return cast(int, value)
    raise EnqueueError(f"max_retries is {value!r}. Accepted: {RETRIES}.")


def _uniqueness(definition: JobDefinition[Any, Any], options: OptionsOfUsing) -> Uniqueness | None:
    unique = definition.unique
    if unique is None and "unique_key" in options:
        unique = Uniqueness(mode=UniqueMode.WHILE_RUNNING)
    return with_conflict(unique, options.get("on_conflict"), EnqueueError)
