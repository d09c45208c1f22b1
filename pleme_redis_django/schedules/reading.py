"""Reading: from the row of a schedule to checked values, wherever the row comes from."""

from __future__ import annotations

import dataclasses
from typing import Any

from pleme_redis_django.enqueueing.rows import checked_parameters_json
from pleme_redis_django.exceptions import (
    EnqueueError,
    InvalidJobDefinition,
    InvalidName,
    InvalidProduct,
    InvalidSchedule,
)
from pleme_redis_django.jobs.definitions.definition import JobDefinition
from pleme_redis_django.jobs.definitions.options import checked_priority
from pleme_redis_django.jobs.definitions.registry import JobRegistry, registry
from pleme_redis_django.jobs.definitions.schedule import (
    checked_choice,
    checked_name,
    checked_parameters,
    checked_whole,
    refuse_overlapping_catch_up,
    refuse_unreplaceable,
)
from pleme_redis_django.jobs.definitions.schedule_values import CATCH_UP_LIMITS, JITTERS, CatchUp, Overlap
from pleme_redis_django.jobs.definitions.timing import Timing
from pleme_redis_django.jobs.interface.queue_names import validate_queue_name
from pleme_redis_django.models import Schedule
from pleme_redis_django.products import validate_product
from pleme_redis_django.schedules.tables import timing_of

UNREADABLE = (InvalidSchedule, InvalidProduct, InvalidName, InvalidJobDefinition, EnqueueError)
"""What reading a row raises, an unknown job type and parameters that do not bind among them."""
NOT_FIRED = "It could not be fired: "
"""How the reason begins of a schedule that was disabled though it could be read, or since it could not be loaded."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReadSchedule:
    """What the row says."""

    definition: JobDefinition[Any, Any]
    """With the product, the queue and the priority of the schedule."""
    parameters: dict[str, Any]
    timing: Timing
    catch_up: CatchUp
    catch_up_limit: int
    overlap: Overlap
    jitter_seconds: int


def read_schedule(row: Schedule, jobs: JobRegistry = registry) -> ReadSchedule:
    """Return the values of a row. Raises one of ``UNREADABLE``; its message says what to fix."""
    checked_name(row.name)
    definition = jobs.get(row.job_type).as_enqueued()
    parameters = definition.reencoded_parameters(checked_parameters(row.parameters))
    checked_parameters_json(row.job_type, parameters)
    overlap = checked_choice("overlap", row.overlap, Overlap)
    timing = timing_of(row).checked()
    refuse_unreplaceable(overlap, definition.unique, timing, row.job_type)
    catch_up = checked_choice("catch_up", row.catch_up, CatchUp)
    refuse_overlapping_catch_up(catch_up, overlap)
    return ReadSchedule(
        definition=definition.using(
            product=validate_product(row.product),
            queue_name=validate_queue_name(row.queue_name) if row.queue_name else None,
            priority=None if row.priority is None else checked_priority(row.priority, InvalidSchedule),
        ),
        parameters=parameters,
        timing=timing,
        catch_up=catch_up,
        catch_up_limit=checked_whole("catch_up_limit", row.catch_up_limit, CATCH_UP_LIMITS),
        overlap=overlap,
        jitter_seconds=checked_whole("jitter_seconds", row.jitter_seconds, JITTERS),
    )
