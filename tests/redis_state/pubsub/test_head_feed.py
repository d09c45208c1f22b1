from __future__ import annotations

from pleme_redis_django.redis_state.pubsub.head_feed import (
    MOST_WAITING_CHARACTERS,
    HeadFeed,
)
from pleme_redis_django.redis_state.pubsub.log import HeadLog
from pleme_redis_django.redis_state.pubsub.manager import PubSubManager
from pleme_redis_django.redis_state.pubsub.messages import BusMessage
from tests.redis_state.pubsub.conftest import start_of
from tests.round_trips import count_round_trips

LARGE = "x" * 60_000


async def test_log_is_read_once_for_all_who_come_back(manager: PubSubManager, loop_clients: None) -> None:
    start = start_of(manager.publish("user:1", 1))
    for number in range(100):
        manager.publish(f"user:{number % 10}", number)
    async with manager.asubscribe("user:*") as events:
        feed = events._listeners[0].feed
        assert feed is not None
        with count_round_trips() as calls:
            for user in range(10):
                page = await feed.recover(start, 300, f"user:{user}")
                assert page.recovered
                assert len(page.messages) == 10 + (user == 1)
            assert calls.of("evalsha") == 1


def test_what_waits_for_a_repair_is_bounded_in_size() -> None:
    feed = HeadFeed(HeadLog("acme", "order"))
    for offset in range(1, 200):
        feed.take(BusMessage("pub", "a", LARGE, "-", "e1", offset))
        assert sum(len(message.frame) for message in feed._waiting) <= MOST_WAITING_CHARACTERS
    assert feed._is_stale, "what was dropped has to be read from the log"
