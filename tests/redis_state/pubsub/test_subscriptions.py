from __future__ import annotations

import datetime
import json
import threading
from typing import Any

import pytest
import redis

from pleme_redis_django.exceptions import InvalidName
from pleme_redis_django.redis_state.pubsub import subscriptions
from pleme_redis_django.redis_state.pubsub.bus import bus
from pleme_redis_django.redis_state.pubsub.log import HeadLog
from pleme_redis_django.redis_state.pubsub.log_page import LogPage
from pleme_redis_django.redis_state.pubsub.manager import PubSubManager
from pleme_redis_django.redis_state.pubsub.messages import Message, Position, Resync
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.connections import PUBLISHING
from pleme_redis_django.redis_state.server.redis_call import redis_client
from tests.redis_state.lossy_proxy import LossyProxy
from tests.waiting import await_until, wait_until


def test_sync_subscription_gets_what_matches() -> None:
    manager = PubSubManager("acme")
    with manager.subscribe("order:*", "user:created") as events:
        manager.publish("order:created", {"n": 1})
        manager.publish("user:deleted", {"n": 2})
        manager.publish("user:created", {"n": 3})
        assert [_data(next(events)) for _ in range(2)] == [{"n": 1}, {"n": 3}]
        assert events.get(timeout_seconds=0.05) is None


def test_sync_subscription_goes_on_after_a_position() -> None:
    manager = PubSubManager("acme")
    position = manager.publish("order:created", {"n": 1})
    manager.publish("order:created", {"n": 2})
    with manager.subscribe("order:*", since=position) as events:
        manager.publish("order:created", {"n": 3})
        assert [_data(next(events)) for _ in range(2)] == [{"n": 2}, {"n": 3}]


def test_sync_subscription_survives_a_cut_connection() -> None:
    manager = PubSubManager("acme")
    with manager.subscribe("order:*") as events:
        manager.publish("order:created", {"n": 1})
        assert _data(next(events)) == {"n": 1}
        redis_client().client_kill_filter(_type="pubsub")
        manager.publish("order:created", {"n": 2})
        manager.publish("order:created", {"n": 3})
        assert [_data(next(events)) for _ in range(2)] == [{"n": 2}, {"n": 3}]


def test_sync_subscription_tells_a_lost_log() -> None:
    manager = PubSubManager("acme")
    with manager.subscribe("order:*") as events:
        manager.publish("order:created", {"n": 1})
        assert _data(next(events)) == {"n": 1}
        redis_client().flushdb()
        manager.publish("order:created", {"n": 2})
        event = next(events)
        assert isinstance(event, Resync)
        assert event.reason == "epoch"
        manager.publish("order:created", {"n": 3})
        assert _data(next(events)) == {"n": 3}


def test_concurrent_publishers_are_seen_in_one_order() -> None:
    manager = PubSubManager("acme")

    def publish(worker: int) -> None:
        for n in range(50):
            manager.publish("order:created", {"worker": worker, "n": n})

    with manager.subscribe("order:*") as first, manager.subscribe("order:*") as second:
        threads = [threading.Thread(target=publish, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        seen = [[json.dumps(_data(next(events))) for _ in range(200)] for events in (first, second)]
        for thread in threads:
            thread.join()
    assert seen[0] == seen[1]
    assert len(set(seen[0])) == 200


async def test_async_subscription_gets_what_matches(loop_clients: None) -> None:
    manager = PubSubManager("acme")
    async with (
        manager.asubscribe("order:*", "user:created") as events,
        manager.asubscribe("order:paid") as paid,
    ):
        await manager.apublish("order:created", {"n": 1})
        await manager.apublish("user:deleted", {"n": 2})
        await manager.apublish("order:paid", {"n": 3})
        assert [_data(await anext(events)) for _ in range(2)] == [{"n": 1}, {"n": 3}]
        assert _data(await anext(paid)) == {"n": 3}


async def test_async_subscription_goes_on_after_a_position(loop_clients: None) -> None:
    manager = PubSubManager("acme")
    position = await manager.apublish("order:created", {"n": 1})
    await manager.apublish("order:created", {"n": 2})
    async with manager.asubscribe("order:*", since=position) as events:
        await manager.apublish("order:created", {"n": 3})
        assert [_data(await anext(events)) for _ in range(2)] == [{"n": 2}, {"n": 3}]
        async with manager.asubscribe("order:*", since=position) as late:
            await manager.apublish("order:created", {"n": 4})
            assert [_data(await anext(late)) for _ in range(3)] == [{"n": 2}, {"n": 3}, {"n": 4}]


async def test_async_subscription_gives_what_is_published_while_it_begins_once_and_in_order(
    loop_clients: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager, read = PubSubManager("acme"), HeadLog.page
    position = await manager.apublish("order:created", {"n": 1})
    await manager.apublish("order:created", {"n": 2})

    async def page_and_publish(log: HeadLog, *args: Any, **kwargs: Any) -> LogPage:
        page = await read(log, *args, **kwargs)
        monkeypatch.undo()
        await manager.apublish("order:created", {"n": 3})
        (feed,) = bus()._feeds.values()
        await await_until(lambda: feed._waiting)
        return page

    monkeypatch.setattr(HeadLog, "page", page_and_publish)
    async with manager.asubscribe("order:*", since=position) as events:
        await manager.apublish("order:created", {"n": 4})
        assert [_data(await anext(events))["n"] for _ in range(3)] == [2, 3, 4]


async def test_async_subscription_survives_a_cut_connection(loop_clients: None) -> None:
    manager = PubSubManager("acme")
    async with manager.asubscribe("order:*") as events:
        for cut in range(5):
            redis_client().client_kill_filter(_type="pubsub")
            for n in range(20):
                await manager.apublish("order:created", {"n": cut * 20 + n})
        assert [_data(await anext(events))["n"] for _ in range(100)] == list(range(100))


async def test_async_subscription_tells_a_lost_log(loop_clients: None) -> None:
    manager = PubSubManager("acme")
    async with manager.asubscribe("order:*") as events:
        await manager.apublish("order:created", {"n": 1})
        assert _data(await anext(events)) == {"n": 1}
        redis_client().flushdb()
        await manager.apublish("order:created", {"n": 2})
        event = await anext(events)
        assert isinstance(event, Resync)
        await manager.apublish("order:created", {"n": 3})
        assert _data(await anext(events)) == {"n": 3}


async def test_slow_async_subscriber_is_told(loop_clients: None) -> None:
    manager = PubSubManager("acme")
    async with manager.asubscribe("order:*", buffer=10) as events, manager.asubscribe("order:*") as fast:
        for n in range(25):
            await manager.apublish("order:created", {"n": n})
        for _ in range(25):
            await anext(fast)
        event = await anext(events)
        assert isinstance(event, Resync)
        assert event.reason == "limit"


async def test_overflow_is_told_for_every_head_that_lost_something(loop_clients: None) -> None:
    manager = PubSubManager("acme")
    heads = ("order", "stock", "user")
    async with (
        manager.asubscribe(*(f"{head}:*" for head in heads), buffer=4) as events,
        manager.asubscribe(*(f"{head}:*" for head in heads)) as fast,
    ):
        for number in range(3):
            for head in heads[:2]:
                await manager.apublish(f"{head}:created", {"n": number})
                await anext(fast)
        await manager.apublish("user:created", {"n": 1})
        await anext(fast)
        told = [await anext(events) for _ in range(2)]
        assert [(event.head, event.position.offset) for event in told if isinstance(event, Resync)] == [
            ("order", 3),
            ("stock", 2),
        ]
        rest = [await anext(events) for _ in range(2)]
        assert [_data(event) for event in rest] == [{"n": 2}, {"n": 1}]


async def test_waiting_loss_is_not_dropped_by_an_overflow(loop_clients: None) -> None:
    manager = PubSubManager("acme")
    async with manager.asubscribe("order:*", "stock:*", buffer=2) as events:
        events.put(Resync(head="stock", position=Position("e1", 7), reason="epoch"))
        for number in range(3):
            events.put(_message(f"order:{number}", number))
        told = [await anext(events) for _ in range(2)]
        assert [(event.head, event.position.offset) for event in told if isinstance(event, Resync)] == [
            ("stock", 7),
            ("order", 2),
        ]


def test_half_open_sync_subscription_connects_again(
    lossy_redis: LossyProxy, raw_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "CHECK_SECONDS", 0.05, raising=False)
    manager = PubSubManager("acme")
    with manager.subscribe("order:*") as events:
        lossy_redis.silence_connections()
        redis_client().connection_pool.disconnect()
        redis_client(PUBLISHING).connection_pool.disconnect()
        manager.publish("order:created", {"n": 1})
        assert _data(events.get(10)) == {"n": 1}


def test_sync_subscription_that_cannot_begin_leaves_no_connection() -> None:
    manager = PubSubManager("acme")
    redis_client().set(keyspace.channel_position("acme", "order"), "not what it should be")
    events = manager.subscribe("order:*")
    with pytest.raises(redis.ResponseError):
        events.__enter__()
    wait_until(lambda: not redis_client().pubsub_channels())


async def test_last_unsubscriber_closes_the_connection(loop_clients: None) -> None:
    manager = PubSubManager("acme")
    async with manager.asubscribe("order:*"):
        assert redis_client().pubsub_channels() == [b"pl:{acme:order}:bus"]
    wait_until(lambda: not redis_client().pubsub_channels())


async def test_subscribe_refuses_bad_arguments(loop_clients: None) -> None:
    manager = PubSubManager("acme")
    with pytest.raises(InvalidName, match="at least one"):
        manager.asubscribe()
    with pytest.raises(InvalidName):
        manager.subscribe("*")
    with pytest.raises(InvalidName, match="one head"):
        manager.subscribe("a:*", "b:*", since=Position("x", 1))


def _message(channel: str, offset: int) -> Message:
    at = datetime.datetime.now(tz=datetime.UTC)
    return Message(channel=channel, data=None, epoch="e1", offset=offset, published_at=at)


def _data(event: Message | Resync | None) -> Any:
    assert isinstance(event, Message), event
    return event.data
