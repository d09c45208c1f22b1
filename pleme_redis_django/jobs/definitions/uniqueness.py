"""When two jobs are equal: the unique slot that a job holds, and for how long.

A slot is text: a letter for the mode, its seconds where it has any, and a digest. The store keeps
it under UNIQUE(product, unique_slot) and sets it to NULL when its period ends, so the mode can be
read off the slot itself.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
from collections.abc import Mapping
from typing import Any

from pleme_redis_django.exceptions import InvalidJobDefinition
from pleme_redis_django.jobs.interface.json_text import canonical_json

WAITING_PREFIX = "w:"
PERIOD_PREFIX = "p"


class UniqueMode(enum.StrEnum):
    """How long a job keeps others of its kind out."""

    WHILE_WAITING = "while_waiting"
    """Until it starts."""
    WHILE_RUNNING = "while_running"
    """Until it has ended."""
    ONCE_PER = "once_per"
    """For a period that starts when it is enqueued."""


class OnConflict(enum.StrEnum):
    """What an enqueue does to an equal job that waits. A job that runs or has ended is left as it is."""

    KEEP = "keep"
    """Nothing."""
    REPLACE = "replace"
    """Gives it the parameters and the due time of the enqueue, and all its retries again."""
    EXTEND = "extend"
    """Gives it the due time of the enqueue."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Uniqueness:
    """A mode, its period in seconds for ``once_per``, and what an enqueue does to the job that is there."""

    mode: UniqueMode
    seconds: int = 0
    on_conflict: OnConflict = OnConflict.KEEP

    def slot(self, job_type: str, key: str) -> str:
        """Return the slot that a job of this type and key holds, at most 64 characters."""
        text = f"{job_type}\n{key}"
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        match self.mode:
            case UniqueMode.WHILE_WAITING:
                return f"{WAITING_PREFIX}{digest}"
            case UniqueMode.WHILE_RUNNING:
                return f"r:{digest}"
            case UniqueMode.ONCE_PER:
                return f"{PERIOD_PREFIX}{self.seconds}:{digest}"


def once_per(seconds: int) -> Uniqueness:
    """Return the mode "at most one enqueue in ``seconds``" (1 second to 366 days)."""
    if type(seconds) is not int or not 1 <= seconds <= 366 * 86_400:
        raise InvalidJobDefinition(
            f"once_per({seconds!r}): accepted is a whole number of seconds from 1 to 31,622,400."
        )
    return Uniqueness(mode=UniqueMode.ONCE_PER, seconds=seconds)


def as_uniqueness(value: Uniqueness | str | None, on_conflict: str | None = None) -> Uniqueness | None:
    """Return what ``unique=`` and ``on_conflict=`` mean. Raises InvalidJobDefinition."""
    if value is None or isinstance(value, Uniqueness):
        return with_conflict(value, on_conflict, InvalidJobDefinition)
    if value in (UniqueMode.WHILE_WAITING, UniqueMode.WHILE_RUNNING):
        return with_conflict(Uniqueness(mode=UniqueMode(value)), on_conflict, InvalidJobDefinition)
    raise InvalidJobDefinition(
        f'unique={value!r}: accepted are "while_waiting", "while_running", once_per(seconds), and None.'
    )


def with_conflict(
    unique: Uniqueness | None, on_conflict: str | None, error: type[Exception]
) -> Uniqueness | None:
    """Return the uniqueness with what ``on_conflict`` says, which may be None. Raises ``error``."""
    if on_conflict is None:
        return unique
    if on_conflict not in tuple(OnConflict):
        raise error(
            f"on_conflict is {on_conflict!r}. Accepted: {', '.join(map(repr, map(str, OnConflict)))}."
        )
    if unique is None:
        raise error(
            f"on_conflict is {on_conflict!r} on a job without unique=, so that no job is ever equal to it."
        )
    return dataclasses.replace(unique, on_conflict=OnConflict(on_conflict))


def parameters_key(parameters: Mapping[str, Any]) -> str:
    """Return the key of a job that has none of its own: its parameters, as equal text for equal values."""
    return canonical_json(parameters)


def period_seconds(slot: str) -> int | None:
    """Return the period of a ``once_per`` slot, None for the other modes."""
    return int(slot[1 : slot.index(":")]) if slot.startswith(PERIOD_PREFIX) else None


def waits_only(slot: str | None) -> bool:
    """Whether the slot is free as soon as its job starts."""
    return slot is not None and slot.startswith(WAITING_PREFIX)
