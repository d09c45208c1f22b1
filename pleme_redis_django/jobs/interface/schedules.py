"""ScheduleBook: what the engine asks of the place where schedules are kept."""

from __future__ import annotations

import dataclasses
from typing import Protocol


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """One schedule that the code of a process declares, as others may know it."""

    product: str
    name: str
    digest: str
    """Of all that is declared: equal for equal declarations."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FiredTicks:
    """What one turn of a book did."""

    enqueued: int = 0
    """Ticks that made a job."""
    passed_over: int = 0
    """Ticks that made none: missed, overlapping, or waiting for the end of a job."""
    disabled: tuple[tuple[str, str], ...] = ()
    """Name and reason of each schedule that could not be read and fires no more."""
    due_in_seconds: float | None = None
    """Time until the next tick, 0 or less when one is due; None: none is known."""


class ScheduleBook(Protocol):
    """Schedules and their ticks, by the store's clock. Its methods are called by one thread at a time."""

    @property
    def key(self) -> str:
        """What processes share that fire the same schedules: the job types that they know, in short."""
        ...

    def fire_due(self) -> FiredTicks:
        """Fire ticks that are due, a bounded number of them; whoever else does so at the same moment.

        Atomic: that a tick was fired, its job, and the schedule's next tick are stored together or not at all.
        One schedule that cannot be read is disabled, and stops no other.
        """
        ...

    def declare(self, *, at_start: bool) -> None:
        """Store what the code declares, and drop what the code of no live process declares any more.

        ``at_start``: the process has just begun, so that what it declares is news, unless a live process that began
        earlier declares the same.
        """
        ...

    def forget_old_ticks(self) -> int:
        """Delete ticks that nobody looks at any more, a bounded number of them; return how many."""
        ...
