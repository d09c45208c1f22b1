"""Measures several ways to do the same in turns, so that the machine's drift meets all alike."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

WARM_UP = 50


def microseconds(
    actions: Mapping[str, Callable[[], object]], *, slices: int, per_slice: int
) -> dict[str, float]:
    """Return how long one call of each action takes, in microseconds."""
    for action in actions.values():
        _seconds(action, WARM_UP)
    spent = dict.fromkeys(actions, 0.0)
    for _ in range(slices):
        for name, action in actions.items():
            spent[name] += _seconds(action, per_slice)
    return {name: 1e6 * seconds / (slices * per_slice) for name, seconds in spent.items()}


async def amicroseconds(
    actions: Mapping[str, Callable[[], Awaitable[object]]], *, slices: int, per_slice: int, at_once: int = 1
) -> dict[str, float]:
    """Do what ``microseconds`` does with ``at_once`` calls under way together."""
    for action in actions.values():
        await _aseconds(action, 2, at_once)
    spent = dict.fromkeys(actions, 0.0)
    for _ in range(slices):
        for name, action in actions.items():
            spent[name] += await _aseconds(action, per_slice, at_once)
    return {name: 1e6 * seconds / (slices * per_slice * at_once) for name, seconds in spent.items()}


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
