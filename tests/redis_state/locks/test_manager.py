from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django import LockManager, RedisUnavailable
from pleme_redis_django.exceptions import InvalidName, InvalidNumber, InvalidProduct, RedisNotConfigured
from pleme_redis_django.testing.servers import RedisServer
from tests.redis_state.conftest import CallTwin
from tests.round_trips import count_round_trips

HOSTILE_NAMES = [
    "a:b",
    "*",
    "order\n1",
    "{x}",
    "\u202eevil",
    "../etc",
    "x" * 500,
    " ",
    "\0",
    "na\u00efve-\U0001d518",
]


async def test_free_lock_is_taken_and_a_held_one_answers_none(call_twin: CallTwin) -> None:
    locks = LockManager("acme")
    guard = await call_twin(locks.try_lock, "resource:123", 60)
    assert guard is not None and not guard.lost and 59 < guard.remaining_seconds <= 60
    assert await call_twin(locks.try_lock, "resource:123", 60) is None
    assert await call_twin(guard.release) is True
    assert await call_twin(locks.try_lock, "resource:123", 60) is not None


async def test_taking_and_releasing_cost_one_round_trip_each(call_twin: CallTwin) -> None:
    locks = LockManager("acme")
    await call_twin((await call_twin(locks.try_lock, "warm", 60)).release)
    with count_round_trips() as calls:
        guard = await call_twin(locks.try_lock, "x", 60)
        assert (calls.of("evalsha"), calls.of("eval")) == (1, 0)
        assert await call_twin(guard.renew)
        assert calls.of("evalsha") == 2
        await call_twin(guard.release)
        assert calls.of("evalsha") == 3
        assert await call_twin(locks.holder, "x") is None
        assert (calls.of("evalsha"), calls.of("eval")) == (3, 1) or calls.of("evalsha") == 4


@pytest.mark.parametrize("other", ["acme-", "acme2", "acm", "0acme"])
async def test_products_with_look_alike_names_share_nothing(call_twin: CallTwin, other: str) -> None:
    assert await call_twin(LockManager("acme").try_lock, "x", 60) is not None
    assert await call_twin(LockManager(other).try_lock, "x", 60) is not None


@pytest.mark.parametrize("name", HOSTILE_NAMES)
async def test_hostile_names_are_names_like_any_other(call_twin: CallTwin, name: str) -> None:
    locks = LockManager("acme")
    async with await call_twin(locks.try_lock, name, 60):
        assert await call_twin(locks.try_lock, name, 60) is None
        assert await call_twin(locks.try_lock, "other", 60) is not None
        held = await call_twin(locks.holder, name)
        assert held.name == name


@pytest.mark.parametrize("name", ["", "x" * 501, "\ud800", None, 5, b"x"])
def test_what_is_no_name_is_refused(name: Any) -> None:
    with pytest.raises(InvalidName, match="Accepted: text of 1 to 500 characters"):
        LockManager("acme").try_lock(name, 60)


@pytest.mark.parametrize("product", ["a:b", "*", "Acme", "", "acme\n", "x" * 51, "{x}", 5])
def test_what_is_no_product_is_refused(product: Any) -> None:
    with pytest.raises(InvalidProduct):
        LockManager(product)


@pytest.mark.parametrize("ttl", [0, -1, None, True, float("nan"), float("inf"), "30", 86401, 0.001])
def test_a_lock_without_a_sane_end_is_refused(ttl: Any) -> None:
    with pytest.raises(InvalidNumber, match=r"Accepted: a number from 0.01 to 86,400 seconds"):
        LockManager("acme").try_lock("x", ttl)


@pytest.mark.parametrize("wait", [-1, None, float("nan"), float("inf"), "1", False])
def test_a_wait_that_is_no_duration_is_refused(wait: Any) -> None:
    with pytest.raises(InvalidNumber, match="wait_seconds"):
        LockManager("acme").lock("x", 30, wait)


async def test_an_outage_is_not_taken_for_a_busy_lock(call_twin: CallTwin, own_redis: RedisServer) -> None:
    locks = LockManager("acme")
    guard = await call_twin(locks.try_lock, "x", 60)
    own_redis.kill()
    with pytest.raises(RedisUnavailable):
        await call_twin(locks.try_lock, "x", 60)
    with pytest.raises(RedisUnavailable):
        await call_twin(guard.renew)
    assert not guard.lost  # its time is not up


def test_without_a_url_the_error_says_so(settings: Any) -> None:
    settings.PLEME_REDIS = {"URL": None}
    with pytest.raises(RedisNotConfigured, match="locks need Redis"):
        LockManager().try_lock("x", 60)
