"""What a release knows: its job types with their parameters, as a file that the next release compares with."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pleme_redis_django.exceptions import PlemeError
from pleme_redis_django.jobs.definitions.definition import JobDefinition
from pleme_redis_django.jobs.definitions.registry import JobRegistry, registry

FORMAT = 1


class UnreadableRelease(PlemeError):
    """The file is not one that ``checkjobs --write`` has written."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KnownType:
    """A job type of a release."""

    required: frozenset[str]
    """Parameters that every row has."""
    accepted: frozenset[str] | None
    """Parameters that a row may have; None: any."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What this code no longer takes of what the other release may enqueue."""

    job_type: str
    problem: str


def write_release(path: Path, definitions: JobRegistry = registry) -> int:
    """Write what this code knows; return how many types. Raises OSError."""
    jobs = {definition.name: _as_json(definition) for definition in definitions}
    content = {"format": FORMAT, "jobs": dict(sorted(jobs.items()))}
    path.write_text(json.dumps(content, indent=2) + "\n")
    return len(jobs)


def read_release(path: Path) -> dict[str, KnownType]:
    """Return the types of another release. Raises OSError or UnreadableRelease."""
    try:
        content = json.loads(path.read_text())
        if content["format"] != FORMAT:
            raise UnreadableRelease(
                f"{path} has the format {content['format']!r}. Accepted: {FORMAT}, as this version writes it."
            )
        return {str(name): _known(value) for name, value in content["jobs"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableRelease(
            f"{path} is not a list of job types ({type(error).__name__}: {error}). Write one in the other release: "
            "manage.py checkjobs --write FILE."
        ) from None


def changes_since(before: Mapping[str, KnownType], definitions: JobRegistry = registry) -> Iterator[Change]:
    """Yield what processes of the other release may enqueue that this code cannot run."""
    for name, known in sorted(before.items()):
        definition = definitions.find(name)
        if definition is None:
            yield Change(
                job_type=name,
                problem="this code does not know it: keep it, or @job(name=...) under its new place",
            )
            continue
        if added := sorted(definition.required - known.required):
            yield Change(job_type=name, problem=f"it requires {added} now, which was not required")
        if definition.accepted is not None:
            gone = ["any name"] if known.accepted is None else sorted(known.accepted - definition.accepted)
            if gone:
                yield Change(job_type=name, problem=f"it no longer takes {gone}")


def _as_json(definition: JobDefinition[Any, Any]) -> dict[str, Any]:
    signature = definition.signature.replace(return_annotation=inspect.Signature.empty)
    return {
        "required": sorted(definition.required),
        "accepted": None if definition.accepted is None else sorted(definition.accepted),
        "signature": str(signature),
    }


def _known(value: Mapping[str, Any]) -> KnownType:
    accepted = value["accepted"]
    return KnownType(
        required=frozenset(value["required"]), accepted=None if accepted is None else frozenset(accepted)
    )
