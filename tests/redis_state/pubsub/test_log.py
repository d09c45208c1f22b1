"""Reading a head's log in pages: what is covered counts, and no call reads more than its share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from pleme_redis_django.exceptions import InvalidName
from pleme_redis_django.redis_state.names import covers
from pleme_redis_django.redis_state.pubsub.log import PAGE_BYTES, log_page, to_position
from pleme_redis_django.redis_state.pubsub.manager import PubSubManager
from pleme_redis_django.redis_state.pubsub.messages import Message, Position
from pleme_redis_django.redis_state.server.redis_call import redis_client
from tests.redis_state.pubsub.conftest import start_of
from tests.twins import Twin

LARGE = "x" * 60_000

HEARD_OFFSETS = list(range(1, 41))


def publish_large(manager: PubSubManager, count: int, channel: str = "order:noise") -> None:
    for _ in range(count):
        manager.publish(channel, LARGE)


def output_bytes(client: redis.Redis) -> int:
    stats: Any = client.info("stats")
    return int(stats["total_net_output_bytes"])


@pytest.mark.parametrize("pattern", ["order:noise", "order:nothing", ""])
@pytest.mark.parametrize("is_newest", [True, False])
def test_one_call_reads_no_more_than_its_share(
    manager: PubSubManager, raw_redis: redis.Redis, pattern: str, is_newest: bool
) -> None:
    position = start_of(manager.publish("order:first", 1))
    publish_large(manager, 60)
    before = output_bytes(raw_redis)
    page = log_page("acme", "order", None if is_newest else position, pattern=pattern).run()
    assert output_bytes(raw_redis) - before < 2 * PAGE_BYTES
    assert page.status == "part"
    assert sum(len(message.frame) for message in page.messages) < PAGE_BYTES + 2 * len(LARGE)


@pytest.mark.parametrize(
    "pattern",
    ["order:a", "order:*", "order:*:c", "order:a:*", "order:*:*", "order:x-y", "order:x=.", "order"],
)
def test_redis_covers_as_everybody_does(manager: PubSubManager, pattern: str) -> None:
    channels = [
        "order",
        "order:a",
        "order:a:c",
        "order:b:c",
        "order:a:b:c",
        "order:x-y",
        "order:xy",
        "order:x=a",
    ]
    position = start_of(manager.publish(channels[0], 0))
    for channel in channels[1:]:
        manager.publish(channel, 0)
    expected = [channel for channel in channels if covers(pattern, channel)]
    for since in (position, None):
        page = log_page("acme", "order", since, pattern=pattern).run()
        assert [message.channel for message in page.messages] == expected
        assert page.recovered


def test_only_what_is_covered_counts(manager: PubSubManager) -> None:
    position = start_of(manager.publish("user:1", 0))
    for number in range(50):
        manager.publish("user:2", number)
    manager.publish("user:1", 1)
    assert log_page("acme", "user", position, 2, pattern="user:1").run().status == "complete"
    page = log_page("acme", "user", position, 1, pattern="user:1").run()
    assert (page.status, page.reached.offset) == ("limit", 51)


@pytest.mark.parametrize("is_newest", [True, False])
async def test_history_finds_what_is_far_behind_others(
    twin: Callable[[Any], Twin], manager: PubSubManager, is_newest: bool
) -> None:
    publish_large(manager, 1)
    position = manager.publish("order:wanted", 1)
    publish_large(manager, 40)
    manager.publish("order:wanted", 2)
    publish_large(manager, 40)
    since = None if is_newest else start_of(position)
    found = await twin(manager).history("order:wanted", since=since)
    assert [message.data for message in found] == [1, 2]
    assert len(await twin(manager).history("order:wanted", since=since, limit=1)) == 1


async def test_async_subscription_is_repaired_in_pages(manager: PubSubManager, loop_clients: None) -> None:
    async with manager.asubscribe("order:*") as events:
        redis_client().client_kill_filter(_type="pubsub")
        publish_large(manager, 40)
        assert [_offset(await anext(events)) for _ in range(40)] == HEARD_OFFSETS


async def test_async_subscription_goes_back_in_pages(manager: PubSubManager, loop_clients: None) -> None:
    position = start_of(manager.publish("order:noise", LARGE))
    publish_large(manager, 39)
    async with manager.asubscribe("order:*", since=position) as events:
        assert [_offset(await anext(events)) for _ in range(40)] == HEARD_OFFSETS


def test_sync_subscription_is_repaired_in_pages(manager: PubSubManager) -> None:
    with manager.subscribe("order:*") as events:
        redis_client().client_kill_filter(_type="pubsub")
        publish_large(manager, 40)
        assert [_offset(next(events)) for _ in range(40)] == HEARD_OFFSETS


def test_first_publish_notes_the_server(manager: PubSubManager) -> None:
    position = manager.publish("order:created", 1)
    run_id = redis_client().info("server")["run_id"]
    assert log_page("acme", "order", position, run_id=run_id).run().recovered
    assert log_page("acme", "order", position, run_id="another").run().status == "epoch"
    log_page("acme", "stock", None).run()
    after = manager.publish("stock:created", 1)
    assert log_page("acme", "stock", after, run_id="another").run().status == "epoch"
    unread = manager.publish("user:created", 1)
    assert log_page("acme", "user", unread, run_id="another").run().status == "epoch"


def _offset(event: Any) -> int:
    assert isinstance(event, Message), event
    return event.offset


def test_replay_says_what_is_missing() -> None:
    manager = PubSubManager("acme")
    positions = [manager.publish("order:created", {"n": n}) for n in range(5)]
    start = positions[0]
    assert start is not None
    page = log_page("acme", "order", start).run()
    assert (page.status, len(page.messages)) == ("complete", 4)
    assert log_page("acme", "order", start, limit=2).run().status == "limit"
    assert log_page("acme", "order", Position("other", 1)).run().status == "epoch"
    assert log_page("acme", "order", Position(start.epoch, 99)).run().status == "epoch"
    redis_client().xtrim("pl:{acme:order}:log", maxlen=2, approximate=False)
    assert log_page("acme", "order", start).run().status == "trimmed"


def test_another_server_begins_a_new_epoch() -> None:
    manager = PubSubManager("acme")
    position = manager.publish("order:created", {})
    assert position is not None
    run_id = redis_client().info("server")["run_id"]
    for _ in range(2):
        assert log_page("acme", "order", position, run_id=run_id).run().recovered
    assert log_page("acme", "order", position, run_id="another").run().status == "epoch"


@pytest.mark.parametrize(
    "value", [None, [], ["x"], ["x", -1], ["x", 2**53], ["x", "1"], ["x y", 1], [1, 1], "ab"]
)
def test_what_is_no_position(value: object) -> None:
    with pytest.raises(InvalidName):
        to_position(value)
