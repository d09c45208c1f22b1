"""Check of annotations: those of jobs that cannot be read, although every module is loaded by now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error

from pleme_redis_django.exceptions import InvalidJobDefinition, InvalidParameters
from pleme_redis_django.jobs.definitions.definition import JobDefinition
from pleme_redis_django.jobs.definitions.registry import registry


def check_annotations(**_kwargs: Any) -> Iterator[CheckMessage]:
    """E045: an annotation cannot be read, or its declared schedule does not fit it."""
    for definition in registry:
        try:
            _read(definition)
        except (InvalidJobDefinition, InvalidParameters) as error:
            yield Error(
                str(error),
                hint="Import what annotations name outside of `if TYPE_CHECKING:`; Any takes JSON as it is.",
                id="pleme_redis_django.E045",
            )


def _read(definition: JobDefinition[Any, Any]) -> None:
    definition.types.read()
    for one in definition.schedules:
        definition.decoded_parameters(one.parameters)
