"""Waiting for a condition, with a deadline, for what no event tells."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE_SECONDS = 20.0
PROCESS_DEADLINE_SECONDS = 30.0
INTERVAL_SECONDS = 0.01


def wait_until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Return when ``condition()`` is true; fail after 20 s."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true in {DEADLINE_SECONDS:.0f} s"
        time.sleep(INTERVAL_SECONDS)


async def await_until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Do what ``wait_until`` does, and let the event loop run."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true in {DEADLINE_SECONDS:.0f} s"
        await asyncio.sleep(INTERVAL_SECONDS)


def wait_for(
    look: Callable[[], T],
    what: str,
    *,
    deadline_seconds: float = PROCESS_DEADLINE_SECONDS,
    details: Callable[[], str] = lambda: "",
) -> T:
    """Return the first true value that ``look()`` returns; fail at the deadline with ``details()``.

    For what another process does: its output says why it did not.
    """
    deadline = time.monotonic() + deadline_seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {deadline_seconds:.0f} s: {what}\n{details()}")
        time.sleep(INTERVAL_SECONDS)
    return found
