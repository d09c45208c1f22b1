from __future__ import annotations

import datetime
import json
import threading
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import redis
from django.db import transaction

from pleme_redis_django.exceptions import InvalidEvent, InvalidName, RedisUnavailable
from pleme_redis_django.redis_state.pubsub import subscriptions
from pleme_redis_django.redis_state.pubsub.log import log_page, to_position
from pleme_redis_django.redis_state.pubsub.manager import PubSubManager, sent
from pleme_redis_django.redis_state.pubsub.messages import Message, Position, Resync
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.connections import PUBLISHING, redis_client
from tests.redis_state.lossy_proxy import LossyProxy
from tests.twins import Twin
from tests.waiting import wait_until

Wrap = Callable[[Any], Twin]


@pytest.fixture
def pubsub(twin: Wrap) -> Twin:
    return twin(PubSubManager("acme"))


async def test_positions_count_up_per_head(pubsub: Twin) -> None:
    first = await pubsub.publish("order:created", {"id": 1})
    second = await pubsub.publish("order:paid", {"id": 1})
    other = await pubsub.publish("user:created", {"id": 1})
    assert second == Position(first.epoch, first.offset + 1)
    assert other.offset == 1


async def test_history_returns_what_was_published(pubsub: Twin) -> None:
    start = await pubsub.publish("order:created", {"id": 1})
    await pubsub.publish("order:paid", [1, "ü", None, True])
    messages = await pubsub.history("order:*")
    assert [(message.channel, message.data) for message in messages] == [
        ("order:created", {"id": 1}),
        ("order:paid", [1, "ü", None, True]),
    ]
    assert messages[0].position == start
    assert abs(messages[0].published_at - datetime.datetime.now(tz=datetime.UTC)) < datetime.timedelta(
        minutes=1
    )
    assert [message.channel for message in await pubsub.history("order:*", start)] == ["order:paid"]
    assert await pubsub.history("order:refunded") == []


async def test_same_idempotency_key_is_published_once(pubsub: Twin) -> None:
    first = await pubsub.publish("order:created", {"id": 1}, idempotency_key="order-1")
    again = await pubsub.publish("order:created", {"id": 1}, idempotency_key="order-1")
    assert again == first
    assert len(await pubsub.history("order:*")) == 1


async def test_django_types_are_written_as_django_does(pubsub: Twin) -> None:
    key = uuid.uuid4()
    moment = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    await pubsub.publish("order:created", {"id": key, "total": Decimal("1.50"), "at": moment})
    [message] = await pubsub.history("order:*")
    assert message.data == {"id": str(key), "total": "1.50", "at": "2026-01-02T00:00:00Z"}


@pytest.mark.parametrize("event", [float("inf"), object(), {"a": "x" * 70_000}, "\ud800", {1: {2}}])
async def test_bad_events_are_refused(pubsub: Twin, event: Any) -> None:
    with pytest.raises(InvalidEvent):
        await pubsub.publish("order:created", event)


@pytest.mark.parametrize("levels", [101, 100_000])
async def test_deep_events_are_refused(pubsub: Twin, levels: int) -> None:
    event: list[Any] = []
    for _ in range(levels):
        event = [event]
    with pytest.raises(InvalidEvent):
        await pubsub.publish("order:created", event)


@pytest.mark.parametrize("channel", ["*", "order:*", "", "a\nb", "x" * 10_000, "@online", "order::"])
async def test_hostile_channels_are_refused(pubsub: Twin, channel: str) -> None:
    with pytest.raises(InvalidName):
        await pubsub.publish(channel, {})


async def test_publish_is_one_round_trip(pubsub: Twin) -> None:
    await pubsub.publish("order:created", {})
    redis_client().config_resetstat()
    await pubsub.publish("order:created", {})
    assert redis_client().info("commandstats")["cmdstat_evalsha"]["calls"] == 1


async def test_every_key_expires(pubsub: Twin) -> None:
    await pubsub.publish("order:created", {}, idempotency_key="k")
    keys = redis_client().keys("pl:{acme:order}:*")
    assert len(keys) == 3
    assert all(redis_client().pttl(key) > 0 for key in keys)


async def test_products_share_nothing(pubsub: Twin, twin: Wrap) -> None:
    await pubsub.publish("order:created", {})
    assert await twin(PubSubManager("acme-2")).history("order:*") == []


async def test_publish_survives_a_cut_connection(pubsub: Twin) -> None:
    await pubsub.publish("order:created", 1)
    redis_client().execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await pubsub.publish("order:created", 2)
    assert [message.data for message in await pubsub.history("order:*")] == [1, 2]


def test_publish_whose_reply_was_lost_is_not_sent_twice() -> None:
    manager = PubSubManager("acme")
    flow = sent(manager._publish("order:created", 1, None, None, None, True))
    first = next(flow).run()
    manager.publish("order:created", 2)
    broken = RedisUnavailable("the reply was lost")
    broken.__cause__ = redis.ConnectionError()
    assert flow.throw(broken).run() == first
    assert [message.data for message in manager.history("order:*")] == [1, 2]


@pytest.mark.django_db(transaction=True)
def test_publish_waits_for_the_commit() -> None:
    manager = PubSubManager("acme")
    with transaction.atomic():
        assert manager.publish("order:created", {"id": 1}) is None
        assert manager.history("order:*") == []
    assert len(manager.history("order:*")) == 1


@pytest.mark.django_db(transaction=True)
def test_rollback_publishes_nothing() -> None:
    manager = PubSubManager("acme")
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        manager.publish("order:created", {"id": 1})
        raise ZeroDivisionError
    assert manager.history("order:*") == []


@pytest.mark.django_db(transaction=True)
def test_publish_at_once_inside_a_transaction() -> None:
    manager = PubSubManager("acme")
    with transaction.atomic():
        assert manager.publish("order:created", {"id": 1}, on_commit=False) is not None


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


# Subscriptions


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
