"""Hints: what a pool needs from the queue that wakes it."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Protocol, runtime_checkable


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


@runtime_checkable
class NamesProducts(Protocol):
    """A queue of hints that says of which products the ready jobs are; fair pools make use of it."""

    def take_products(self) -> frozenset[str]:
        """Return the products of the hints that were taken since the last call."""
        ...

    def peek_products(self) -> frozenset[str]:
        """Return the products of the hints that came since the last call, and are left to those with room.

        Raises an exception when the queue is unavailable.
        """
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
