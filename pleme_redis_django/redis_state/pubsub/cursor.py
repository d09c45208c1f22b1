"""The position of a subscriber in a head's log, and what the next message means for it. Pure."""

from __future__ import annotations

import enum

from pleme_redis_django.redis_state.pubsub.messages import BusMessage, Position


class MessageOrder(enum.Enum):
    """What a numbered message means for a cursor."""

    NEXT = "next"
    KNOWN = "known"
    GAP = "gap"


class HeadCursor:
    """The position up to which messages of one head were passed on."""

    __slots__ = ("epoch", "offset")

    def __init__(self, position: Position) -> None:
        self.epoch, self.offset = position

    @property
    def position(self) -> Position:
        """The last message that was passed on."""
        return Position(self.epoch, self.offset)

    def advance(self, message: BusMessage) -> MessageOrder:
        """Return what ``message`` is, and move to it if it is the next one."""
        if message.epoch == self.epoch:
            if message.offset == self.offset + 1:
                self.offset = message.offset
                return MessageOrder.NEXT
            if message.offset <= self.offset:
                return MessageOrder.KNOWN
        return MessageOrder.GAP

    def move(self, position: Position) -> None:
        """Move to ``position``."""
        self.epoch, self.offset = position
