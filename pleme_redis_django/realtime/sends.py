"""Begins a send without a task: most sends finish at once, and then need no task and no switch."""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

Send = Callable[[dict[str, Any]], Awaitable[None]]


def begin(sending: Awaitable[None]) -> Awaitable[None] | None:
    """Run a send up to its first real wait; return the rest of it, or None if it is done. Raises what it raises."""
    coroutine = sending if isinstance(sending, Coroutine) else _awaited(sending)
    try:
        waits_for = coroutine.send(None)
    except StopIteration:
        return None
    return _resumed(coroutine, waits_for)


async def _awaited(awaitable: Awaitable[None]) -> None:
    await awaitable


@types.coroutine
def _resumed(coroutine: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, Any, None]:
    """Continue a coroutine that waits for ``waits_for``, inside the awaiting task."""
    while True:
        try:
            try:
                value = yield waits_for
            except BaseException as error:
                waits_for = coroutine.throw(error)
            else:
                waits_for = coroutine.send(value)
        except StopIteration:
            return
