"""The log of a head: its position, what came after one, and what a subscriber may conclude from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from pleme_redis_django.exceptions import InvalidName
from pleme_redis_django.redis_state import keyspace
from pleme_redis_django.redis_state.connections import async_redis_client, redis_client
from pleme_redis_django.redis_state.messages import BusMessage, Position, parse_bus_message
from pleme_redis_django.redis_state.scripts import Argument, script

# A position outlives its log, so that a quiet head does not begin a new epoch every few minutes.
POSITION_TTL_MS = 24 * 3600 * 1000
REPAIR_LIMIT = 1000
"""The most messages that a gap is repaired with; a larger one is reported as a loss."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """What a log holds after a position, oldest first, and how that went."""

    top: Position
    """The newest message's position."""
    status: str
    """``complete``, ``limit`` (there are more), ``trimmed`` (some are gone) or ``epoch`` (all are)."""
    messages: tuple[BusMessage, ...]

    @property
    def recovered(self) -> bool:
        """Tell whether nothing is missing between the position and ``top``."""
        return self.status == "complete"


def read_log(
    product: str, head: str, since: Position | None, limit: int = REPAIR_LIMIT, run_id: str = ""
) -> LogPage:
    """Return what a head's log holds after ``since``; without one, its newest ``limit`` messages."""
    keys, arguments = _call(product, head, since, limit, run_id)
    return _page(script("replay").run(redis_client(), keys, arguments))


async def aread_log(
    product: str, head: str, since: Position | None, limit: int = REPAIR_LIMIT, run_id: str = ""
) -> LogPage:
    """Do what ``read_log`` does, on the running event loop."""
    keys, arguments = _call(product, head, since, limit, run_id)
    return _page(await script("replay").arun(async_redis_client(), keys, arguments))


def to_position(value: object) -> Position:
    """Return the Position that a ``[epoch, offset]`` pair stands for.

    Raises InvalidName for anything else.
    """
    match value:
        # True is an int as well, and no offset.
        case [str() as epoch, int() as offset] if (
            not isinstance(offset, bool)
            and epoch.isalnum()
            and epoch.isascii()
            and len(epoch) <= 32
            and 0 <= offset < 2**53
        ):
            return Position(epoch, offset)
    raise InvalidName(f"{repr(value)[:60]} is no position. Accepted: [epoch, offset], as received before.")


def _call(
    product: str, head: str, since: Position | None, limit: int, run_id: str
) -> tuple[list[str], Sequence[Argument]]:
    epoch, offset = since or Position("", 0)
    keys = [keyspace.channel_position(product, head), keyspace.channel_log(product, head)]
    return keys, [epoch, offset, limit, POSITION_TTL_MS, run_id]


def _page(reply: list[Any]) -> LogPage:
    epoch, offset, status, *messages = reply
    return LogPage(
        top=Position(epoch.decode(), offset),
        status=status.decode(),
        messages=tuple(map(parse_bus_message, messages)),
    )
