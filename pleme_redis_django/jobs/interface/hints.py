"""Hints: what a pool needs from the queue that wakes it."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import NamedTuple, Protocol, runtime_checkable

# What a hint says of its job's type that says nothing of it.
ANY_TYPE = ""


class HintQueue(Protocol):
    """A queue of hints that jobs are ready. Losing one costs time, never a job."""

    def wait_for_hint(self, timeout_seconds: float) -> bool:
        """Wait for a hint, take every one that is there, and return whether there was any.

        Raises an exception when the queue is unavailable.
        """
        ...

    def nudge(self) -> bool:
        """Wake one other worker; return whether that was said. Does not raise when the queue is unavailable."""
        ...


@runtime_checkable
class WakesQueues(Protocol):
    """A queue of hints by which workers of any queue are woken, those that this process does not serve as well."""

    def wake_queues(self, queue_names: Collection[str]) -> None:
        """Wake one worker of each queue. Does not raise when the queue is unavailable."""
        ...


class Hinted(NamedTuple):
    """Of which product and type a job is that was said to be ready. A tuple: hints come in thousands."""

    product: str = ""
    """Empty: it was not said."""
    job_type: str = ANY_TYPE


@runtime_checkable
class NamesJobs(Protocol):
    """A queue of hints that says of which products and types the ready jobs are.

    A pool asks for slots of these types alone, and a fair one learns of products that had no jobs.
    """

    def take_named(self) -> frozenset[Hinted]:
        """Return what the hints say that were taken since the last call."""
        ...

    def peek_named(self) -> frozenset[Hinted]:
        """Return what the hints say that came since the last call, and are left to those with room.

        Raises an exception when the queue is unavailable.
        """
        ...

    def nudge_for(self, job_types: Collection[str], products: Collection[str]) -> bool:
        """Wake one other worker, as ``nudge`` does, and tell it of which types and products the ready jobs are."""
        ...


class NoHints:
    """The queue of a process without one: nobody is woken."""

    def wait_for_hint(self, timeout_seconds: float) -> bool:
        """Wait, and return that there was none."""
        time.sleep(timeout_seconds)
        return False

    def nudge(self) -> bool:
        """Do nothing; return False."""
        return False
