"""What a process remembers of a head, and that all heads together are bounded."""

from __future__ import annotations

from pleme_redis_django.redis_state.pubsub.bus import bus
from pleme_redis_django.redis_state.pubsub.manager import PubSubManager
from pleme_redis_django.redis_state.pubsub.messages import BusMessage, Position
from pleme_redis_django.redis_state.pubsub.recent_messages import (
    RECENT_CHARACTERS,
    RECENT_MESSAGES,
    RecentBudget,
    RecentMessages,
)

LARGE = "x" * 60_000


def message(offset: int, frame: str = "x" * 10, epoch: str = "e1") -> BusMessage:
    return BusMessage("pub", "a", frame, "-", epoch, offset)


def offsets_since(recent: RecentMessages, since: int, position: int) -> list[int] | None:
    found = recent.since(Position("e1", since), Position("e1", position))
    return None if found is None else [each.offset for each in found]


def test_what_followed_a_position_is_all_known_or_not_told() -> None:
    recent = RecentMessages(RecentBudget())
    for offset in range(5, 8):
        recent.add(message(offset))
    assert offsets_since(recent, 5, 7) == [6, 7]
    assert offsets_since(recent, 4, 7) == [5, 6, 7]
    assert offsets_since(recent, 3, 7) is None, "4 is not remembered"
    assert offsets_since(recent, 7, 7) == []
    assert offsets_since(recent, 8, 7) is None, "the client is ahead"
    assert recent.since(Position("e0", 6), Position("e1", 7)) is None, "another epoch"


def test_reading_back_joins_on_without_a_gap() -> None:
    recent = RecentMessages(RecentBudget())
    recent.add(message(5))
    recent.read_back(
        [message(1), message(3, epoch="e0"), message(3), message(4), message(5)], Position("e1", 5)
    )
    assert recent.is_read_back
    assert offsets_since(recent, 2, 5) == [3, 4, 5]
    assert offsets_since(recent, 0, 5) is None, "2 is missing, so 1 is not remembered either"
    recent.forget()
    assert not recent.is_read_back
    assert len(recent) == 0


def test_one_head_remembers_so_many_messages_and_characters() -> None:
    recent = RecentMessages(RecentBudget())
    for offset in range(1, RECENT_MESSAGES + 10):
        recent.add(message(offset))
    assert len(recent) == RECENT_MESSAGES
    for offset in range(RECENT_MESSAGES + 10, RECENT_MESSAGES + 40):
        recent.add(message(offset, LARGE))
    assert len(recent) == RECENT_CHARACTERS // len(LARGE)


def test_heads_share_what_they_may_remember() -> None:
    budget = RecentBudget(most_characters=100)
    quiet, busy = both = [RecentMessages(budget) for _ in range(2)]
    for recent in both:
        for offset in range(1, 5):
            recent.add(message(offset))
    for offset in range(5, 8):
        busy.add(message(offset))
    assert (len(quiet), len(busy)) == (0, 7)
    busy.forget()
    assert budget._characters == 0
    assert not budget._held


async def test_feed_that_nobody_follows_counts_no_more(manager: PubSubManager, loop_clients: None) -> None:
    async with manager.asubscribe("stock:*"):
        async with manager.asubscribe("order:*") as events:
            await manager.apublish("order:created", LARGE)
            await anext(events)
            assert bus()._recent_budget._characters > len(LARGE)
        assert bus()._recent_budget._characters == 0
