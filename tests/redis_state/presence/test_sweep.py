"""Sweeping: whose turn it is, what is swept, and that nobody leaves twice."""

from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django.redis_state.presence.manager import PresenceManager
from pleme_redis_django.redis_state.presence.sweep import (
    SWEEP_SECONDS,
    TURN_SECONDS,
    PresenceSweeper,
    list_products,
    sweep_product,
)
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.flows import arun, run
from pleme_redis_django.redis_state.server.redis_call import redis_client
from pleme_redis_django.signals import user_offline
from tests.round_trips import count_round_trips


def expire(product: str, room: str = "") -> None:
    """Let the time of everyone in a scope be over."""
    keys = keyspace.presence_keys(product, room)
    for key in (keys.connections, keys.expiries):
        members: Any = redis_client().zrange(key, 0, -1)
        redis_client().zadd(key, dict.fromkeys(members, 1))
    redis_client().zadd(keyspace.presence_due(product), {room: 1})


@pytest.fixture
def left() -> Any:
    seen: list[tuple[str, str]] = []

    def note(sender: Any, product: str, user_id: str, **_more: Any) -> None:
        seen.append((product, user_id))

    user_offline.connect(note)
    yield seen
    user_offline.disconnect(note)


def come_and_expire(product: str) -> None:
    PresenceManager(product).set_online(1, "c1")
    PresenceManager(product, "room:1").set_online(1, "c1")
    redis_client().zadd(keyspace.presence_products(), {product: 2e9})
    expire(product)
    expire(product, "room:1")


def test_one_worker_sweeps_every_product(left: list[Any]) -> None:
    for product in ("acme", "other"):
        come_and_expire(product)
    first, second = PresenceSweeper("first"), PresenceSweeper("second")
    assert first.step() < 2 * SWEEP_SECONDS
    assert sorted(left) == [("acme", "1"), ("other", "1")]
    assert second.step() > SWEEP_SECONDS
    come_and_expire("acme")
    second.step()
    assert len(left) == 2
    first.step()
    assert len(left) == 3
    assert not PresenceManager("acme", "room:1").sweep()


def test_a_turn_ends_with_its_silent_holder(left: list[Any]) -> None:
    PresenceSweeper("dead").step()
    assert 0 < redis_client().pttl(keyspace.presence_turn()) <= TURN_SECONDS * 1000
    come_and_expire("acme")
    redis_client().delete(keyspace.presence_turn())  # what expiry does
    PresenceSweeper("next").step()
    assert left == [("acme", "1")]


def test_an_idle_sweep_is_one_call_for_the_turn_and_one_a_product() -> None:
    for product in ("acme", "other"):
        PresenceManager(product).set_online(1, "c1")
        redis_client().zadd(keyspace.presence_products(), {product: 2e9})
    sweeper = PresenceSweeper("only")
    sweeper.step()
    with count_round_trips() as calls:
        sweeper.step()
    assert calls.of("evalsha") == 3


MANY = [f"p{number}" for number in range(250)]


def reads() -> int:
    """How often the server has read something since the last reset: a pipeline is one read, or a few."""
    return redis_client().info("stats")["total_reads_processed"]


def test_an_idle_sweep_of_many_products_is_a_few_round_trips(left: list[Any]) -> None:
    redis_client().zadd(keyspace.presence_products(), dict.fromkeys(MANY, 2e9))
    come_and_expire("p200")
    sweeper = PresenceSweeper("only")
    sweeper.step()
    assert left == [("p200", "1")]
    redis_client().config_resetstat()
    sweeper.step()
    assert reads() < len(MANY) / 5


async def test_an_idle_sweep_of_many_products_is_a_few_async_round_trips(
    left: list[Any], loop_clients: None
) -> None:
    come_and_expire("p200")
    sweeper = PresenceSweeper("only")
    await sweeper.astep(MANY)
    assert left == [("p200", "1")]
    redis_client().config_resetstat()
    await sweeper.astep(MANY)
    assert reads() < len(MANY) / 5


@pytest.mark.parametrize("lost", ["script", "product"])
def test_product_that_cannot_be_asked_keeps_no_other_from_its_turn(left: list[Any], lost: str) -> None:
    for product in ("acme", "other"):
        come_and_expire(product)
    if lost == "product":
        redis_client().set(keyspace.presence_due("acme"), "not what it should be")
    else:
        redis_client().script_flush()
    PresenceSweeper("only").step()
    swept = [("other", "1")] if lost == "product" else [("acme", "1"), ("other", "1")]
    assert sorted(left) == swept


async def test_web_processes_take_turns_with_all_others(left: list[Any], loop_clients: None) -> None:
    PresenceSweeper("a worker").step()
    come_and_expire("acme")
    with count_round_trips() as calls:
        assert await PresenceSweeper("a web process").astep(["acme", "other"]) > SWEEP_SECONDS
    assert calls.of("evalsha") == 1
    assert left == []
    redis_client().delete(keyspace.presence_turn())
    assert await PresenceSweeper("a web process").astep(["acme", "other"]) < 2 * SWEEP_SECONDS
    assert left == [("acme", "1")]


def expired(product: str, rooms: int, users: int, tabs: int) -> None:
    for room in range(rooms):
        for user in range(users):
            for tab in range(tabs):
                PresenceManager(product, f"room:{room}").set_online(user, f"c{room}.{user}.{tab}")
        expire(product, f"room:{room}")


@pytest.mark.parametrize(("rooms", "users", "tabs"), [(1, 130, 2), (130, 1, 1)])
def test_one_sweep_removes_everyone_whose_time_is_over(rooms: int, users: int, tabs: int) -> None:
    expired("acme", rooms, users, tabs)
    assert run(sweep_product("acme")) == rooms * users
    assert not redis_client().exists(keyspace.presence_due("acme"))


async def test_one_async_sweep_removes_everyone_whose_time_is_over(loop_clients: None) -> None:
    expired("acme", 1, 130, 2)
    assert await arun(sweep_product("acme")) == 130


def test_sweep_that_fails_fails_for_one_scope(left: list[Any]) -> None:
    for product in ("acme", "other"):
        come_and_expire(product)
        redis_client().set(keyspace.presence_keys(product, "room:1").connections, "not what it should be")
    PresenceSweeper("only").step()
    assert sorted(left) == [("acme", "1"), ("other", "1")]
    assert redis_client().zrange(keyspace.presence_due("acme"), 0, -1) == [b"room:1"]


async def test_twins_agree(left: list[Any], loop_clients: None) -> None:
    come_and_expire("acme")
    assert list_products().run() == await list_products().arun() == ["acme"]
    assert await arun(sweep_product("acme")) == 2
    come_and_expire("acme")
    assert run(sweep_product("acme")) == 2
    assert left == [("acme", "1")] * 2


def test_a_product_without_presence_for_a_day_is_forgotten() -> None:
    redis_client().zadd(keyspace.presence_products(), {"old": 1, "acme": 2e9})
    assert list_products().run() == ["acme"]
    assert redis_client().zcard(keyspace.presence_products()) == 1
