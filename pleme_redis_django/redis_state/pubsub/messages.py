"""What is sent on a head's bus and kept in its log: positions, messages, and their text form. Pure.

A bus message is one header line and one frame: ``pub <channel> <skipped connection or -> <epoch>
<offset> <published ms>``, ``pres <channel> -`` or ``typing <channel> <skipped connection or ->``. The
frame is the JSON text that a websocket client gets, made once, by the script that publishes.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
from typing import Any, NamedTuple

from django.core.serializers.json import DjangoJSONEncoder

from pleme_redis_django.exceptions import InvalidEvent
from pleme_redis_django.jobs.interface.json_text import MAX_NESTING_LEVELS, is_nested_too_deeply


class Position(NamedTuple):
    """A place in the log of a head: which log (``epoch``), and the number of its last known message."""

    epoch: str
    offset: int


class BusMessage(NamedTuple):
    """One message of a bus; ``epoch`` is empty for presence and typing, which are not numbered."""

    kind: str
    channel: str
    frame: str
    skipped: str
    epoch: str = ""
    offset: int = 0
    published_ms: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One published event as a subscriber gets it."""

    channel: str
    data: Any
    epoch: str
    offset: int
    published_at: datetime.datetime
    user_id: str | None = None
    """Who published, if that was a user; set by the server."""

    @property
    def position(self) -> Position:
        """Give it to ``subscribe(since=...)`` to continue after this message."""
        return Position(self.epoch, self.offset)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Resync:
    """This subscriber has lost messages of a head: read your state again, and continue."""

    head: str
    position: Position
    """The place of the newest message; the messages after it will come."""
    reason: str
    """``epoch``: the log was lost; ``trimmed``: it is too short; ``limit``: too many, or too slow."""


def parse_bus_message(raw: bytes) -> BusMessage:
    """Return the parts of a bus or log message."""
    header, _, frame = raw.decode().partition("\n")
    kind, channel, skipped, *numbered = header.split(" ")
    if not numbered:
        return BusMessage(kind, channel, frame, skipped)
    epoch, offset, published_ms = numbered
    return BusMessage(kind, channel, frame, skipped, epoch, int(offset), int(published_ms))


def to_message(message: BusMessage) -> Message:
    """Return the public form of a ``pub`` bus message."""
    body = json.loads(message.frame)["pub"]
    return Message(
        channel=message.channel,
        data=body["d"],
        user_id=body.get("u"),
        epoch=message.epoch,
        offset=message.offset,
        published_at=datetime.datetime.fromtimestamp(message.published_ms / 1000, tz=datetime.UTC),
    )


def encode_event(event: Any, max_bytes: int, what: str = "event", *, sort_keys: bool = False) -> str:
    """Return ``event`` as compact JSON text (dates, Decimal and UUID as Django writes them).

    Raises InvalidEvent if it is not JSON, nested past 100 levels, or larger than ``max_bytes`` as UTF-8.
    """
    try:
        text = json.dumps(
            event,
            cls=DjangoJSONEncoder,
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
            sort_keys=sort_keys,
        )
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidEvent(f"The {what} cannot be written as JSON: {str(error)[:200]}.") from error
    if is_nested_too_deeply(text):
        raise InvalidEvent(
            f"The {what} is nested too deeply. Accepted: up to {MAX_NESTING_LEVELS} lists and objects inside "
            "each other. Send an id, and let the reader fetch the rest."
        )
    if size > max_bytes:
        raise InvalidEvent(
            f"The {what} is {size:,} bytes of JSON. Accepted: up to {max_bytes:,}. "
            "Send an id, and let the reader fetch the rest."
        )
    return text
