"""A cursor hands each message on once and sees what is missing."""

from __future__ import annotations

import pytest

from pleme_redis_django.redis_state.pubsub.cursor import HeadCursor, MessageOrder
from pleme_redis_django.redis_state.pubsub.messages import BusMessage, Position


def message(epoch: str, offset: int) -> BusMessage:
    return BusMessage("pub", "order:1", "{}", "-", epoch, offset)


@pytest.mark.parametrize(
    ("epoch", "offset", "order", "after"),
    [
        ("e", 8, MessageOrder.NEXT, Position("e", 8)),
        ("e", 7, MessageOrder.KNOWN, Position("e", 7)),
        ("e", 1, MessageOrder.KNOWN, Position("e", 7)),
        ("e", 9, MessageOrder.GAP, Position("e", 7)),
        ("another", 8, MessageOrder.GAP, Position("e", 7)),
        ("another", 1, MessageOrder.GAP, Position("e", 7)),
    ],
)
def test_a_cursor_moves_onto_the_next_message_alone(
    epoch: str, offset: int, order: MessageOrder, after: Position
) -> None:
    cursor = HeadCursor(Position("e", 7))
    assert cursor.advance(message(epoch, offset)) is order
    assert cursor.position == after


def test_after_a_repair_it_stands_where_the_log_ends() -> None:
    cursor = HeadCursor(Position("e", 7))
    cursor.move(Position("another", 2))
    assert cursor.advance(message("another", 3)) is MessageOrder.NEXT
