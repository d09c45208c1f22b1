"""A cursor hands each message on once and sees what is missing."""

from __future__ import annotations

import pytest

from pleme_redis_django.redis_state.pubsub.cursor import HeadCursor, Step
from pleme_redis_django.redis_state.pubsub.messages import BusMessage, Position


def message(epoch: str, offset: int) -> BusMessage:
    return BusMessage("pub", "order:1", "{}", "-", epoch, offset)


@pytest.mark.parametrize(
    ("epoch", "offset", "step", "after"),
    [
        ("e", 8, Step.NEXT, Position("e", 8)),
        ("e", 7, Step.KNOWN, Position("e", 7)),
        ("e", 1, Step.KNOWN, Position("e", 7)),
        ("e", 9, Step.GAP, Position("e", 7)),
        ("another", 8, Step.GAP, Position("e", 7)),
        ("another", 1, Step.GAP, Position("e", 7)),
    ],
)
def test_a_cursor_moves_onto_the_next_message_alone(
    epoch: str, offset: int, step: Step, after: Position
) -> None:
    cursor = HeadCursor(Position("e", 7))
    assert cursor.step(message(epoch, offset)) is step
    assert cursor.position == after


def test_after_a_repair_it_stands_where_the_log_ends() -> None:
    cursor = HeadCursor(Position("e", 7))
    cursor.move(Position("another", 2))
    assert cursor.step(message("another", 3)) is Step.NEXT
