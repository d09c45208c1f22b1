from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import redis
from django.db import transaction

from pleme_redis_django.exceptions import InvalidEvent, InvalidName, RedisUnavailable
from pleme_redis_django.redis_state.pubsub.manager import PubSubManager
from pleme_redis_django.redis_state.pubsub.messages import Position
from pleme_redis_django.redis_state.pubsub.publishing import sent
from pleme_redis_django.redis_state.server.redis_call import redis_client
from tests.round_trips import count_round_trips
from tests.twins import Twin

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
    with count_round_trips() as calls:
        await pubsub.publish("order:created", {})
    assert calls.of("evalsha") == 1


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
