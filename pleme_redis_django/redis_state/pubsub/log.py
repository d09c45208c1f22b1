"""The log of a head: its position, the messages after a position, and their meaning for a subscriber."""

from __future__ import annotations

import dataclasses
from typing import Any

from pleme_redis_django.exceptions import InvalidName
from pleme_redis_django.redis_state.names import head_of
from pleme_redis_django.redis_state.pubsub.log_page import REPAIR_LIMIT, LogPage
from pleme_redis_django.redis_state.pubsub.messages import Message, Position, parse_bus_message, to_message
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.flows import Flow
from pleme_redis_django.redis_state.server.redis_call import RedisCall, script_call
from pleme_redis_django.redis_state.server.scripts import Argument

# A position outlives its log, so that a quiet head does not begin a new epoch every few minutes.
POSITION_TTL_MS = 24 * 3600 * 1000
PAGE_BYTES = 1024 * 1024
"""How much of a log one script reads, and returns at most: everybody else waits for it, about 5 ms."""


def log_page(
    product: str,
    head: str,
    since: Position | None,
    limit: int = REPAIR_LIMIT,
    run_id: str = "",
    *,
    pattern: str = "",
    before: int = 0,
) -> RedisCall[LogPage]:
    """Return the request for what a head's log holds after ``since``; without one, its newest ``limit`` messages.

    One call reads ``PAGE_BYTES`` of the log; if there is more, the page is a ``part``. ``pattern`` leaves out the
    messages of channels that it does not cover; ``before``: only messages before this offset, of the newest.
    """
    epoch, offset = since or Position("", before)
    keys = [keyspace.channel_position(product, head), keyspace.channel_log(product, head)]
    header = _header_pattern(pattern) if pattern else ""
    arguments: list[Argument] = [epoch, offset, limit, POSITION_TTL_MS, run_id, header, PAGE_BYTES]
    return script_call("channel_replay", keys, arguments, read=_page)


@dataclasses.dataclass(frozen=True, slots=True)
class HeadLog:
    """The log of one head as an event loop reads it, page by page."""

    product: str
    head: str

    async def page(self, since: Position | None, limit: int, run_id: str = "", pattern: str = "") -> LogPage:
        """Read what ``log_page`` asks for. Raises RedisUnavailable."""
        return await log_page(self.product, self.head, since, limit, run_id, pattern=pattern).arun()


def history(product: str, pattern: str, since: Position | None, limit: int) -> Flow[list[Message]]:
    """Read page after page: forwards from a position, or backwards from the newest message."""
    found: list[Message] = []
    before = 0
    while True:
        left = limit - len(found)
        page = yield log_page(product, head_of(pattern), since, left, pattern=pattern, before=before)
        messages = [to_message(message) for message in page.messages]
        if since is None:
            found = messages + found
            before = page.reached.offset
        else:
            found += messages
            since = page.reached
        if page.status != "part" or len(found) >= limit:
            return found


def to_position(value: object) -> Position:
    """Return the Position that a ``[epoch, offset]`` pair stands for.

    Raises InvalidName for anything else.
    """
    match value:
        # True is an int, too, but not an offset.
        case [str() as epoch, int() as offset] if (
            not isinstance(offset, bool)
            and epoch.isalnum()
            and epoch.isascii()
            and len(epoch) <= 32
            and 0 <= offset < 2**53
        ):
            return Position(epoch, offset)
    raise InvalidName(f"{repr(value)[:60]} is not a position. Accepted: [epoch, offset], as received before.")


def _header_pattern(pattern: str) -> str:
    """Return the Lua pattern of the headers of messages that a channel pattern covers."""
    *leading, last = pattern.split(":")
    parts = ["[^: ]+" if segment == "*" else _escaped(segment) for segment in leading]
    parts.append("[^ ]+" if last == "*" else _escaped(last))
    return f"^pub {':'.join(parts)} "


def _escaped(segment: str) -> str:
    return "".join(character if character.isalnum() else f"%{character}" for character in segment)


def _page(reply: list[Any]) -> LogPage:
    epoch, offset, status, reached, read_bytes, *messages = reply
    return LogPage(
        top=Position(epoch.decode(), offset),
        status=status.decode(),
        messages=tuple(map(parse_bus_message, messages)),
        reached=Position(epoch.decode(), reached),
        read_bytes=read_bytes,
    )
