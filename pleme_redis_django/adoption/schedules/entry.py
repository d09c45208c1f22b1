"""An entry of another scheduler: what it says, whichever scheduler it is of; and why one is not imported."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pleme_redis_django.exceptions import PlemeError
from pleme_redis_django.jobs.definitions.schedule_values import CatchUp
from pleme_redis_django.jobs.definitions.timing import Timing


class CannotExpress(PlemeError):
    """No schedule says what an entry says; the message has the reason and the next step."""


class NotNeeded(PlemeError):
    """An entry has no work to do here; the message says why."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ForeignSchedule:
    """What an entry says, in the words of this package."""

    path: str
    """The path of what it calls: ``shop.tasks.send``."""
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    timing: Timing
    catch_up: CatchUp
    """What the other scheduler does with ticks that nobody could fire."""
    queue_name: str = ""
    """Empty: the queue of the job."""
    pause_reason: str = ""
    """Why it does not fire there; empty: it does."""
    notes: tuple[str, ...] = ()
    """What is not carried over, each with the next step."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry, not read yet."""

    name: str
    """The name of the schedule that it becomes, the same each time that it is read."""
    read: Callable[[], ForeignSchedule]
    """Raises CannotExpress and NotNeeded."""
