"""Measures several ways to do the same in turns, so that the machine's drift meets all alike.

The figure of each is the median of its slices: a slice that other work interrupts does not count.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping

WARM_UP = 50


def microseconds(
    actions: Mapping[str, Callable[[], object]], *, slices: int, per_slice: int
) -> dict[str, float]:
    """Return how long one call of each action takes, in microseconds."""
    for action in actions.values():
        _seconds(action, WARM_UP)
    spent: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(slices):
        for name, action in actions.items():
            spent[name].append(_seconds(action, per_slice))
    return {name: 1e6 * statistics.median(seconds) / per_slice for name, seconds in spent.items()}


async def amicroseconds(
    actions: Mapping[str, Callable[[], Awaitable[object]]], *, slices: int, per_slice: int, at_once: int = 1
) -> dict[str, float]:
    """Do what ``microseconds`` does with ``at_once`` calls under way together."""
    for action in actions.values():
        await _aseconds(action, 2, at_once)
    spent: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(slices):
        for name, action in actions.items():
            spent[name].append(await _aseconds(action, per_slice, at_once))
    return {name: 1e6 * statistics.median(seconds) / (per_slice * at_once) for name, seconds in spent.items()}


def _seconds(action: Callable[[], object], count: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        action()
    return time.perf_counter() - started


async def _aseconds(action: Callable[[], Awaitable[object]], count: int, at_once: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        await asyncio.gather(*(action() for _ in range(at_once)))
    return time.perf_counter() - started
