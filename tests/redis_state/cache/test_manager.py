from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import pytest
import redis
from django.core.cache import cache as django_cache

from pleme_redis_django import CacheManager, RedisUnavailable
from pleme_redis_django.exceptions import (
    InvalidName,
    InvalidNumber,
    InvalidProduct,
    NotACounter,
    UncacheableValue,
    ValueTooLarge,
)
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.connections import close_sync_clients
from pleme_redis_django.testing.servers import RedisServer
from tests.redis_state.conftest import CallTwin
from tests.round_trips import count_round_trips
from tests.waiting import await_until

HOSTILE_KEYS = ["a:b", "*", "\n", "{x}", "\u202eevil", "../etc", "x" * 2000, "\0", "\ud800"]


async def test_values_come_back_with_their_types(call_twin: CallTwin, alias: str) -> None:
    cache = CacheManager("acme", alias=alias)
    product = {"price": Decimal("9.90"), "since": datetime.date(2026, 1, 2), "ids": (1, 2), "tags": {"a"}}
    assert await call_twin(cache.set, "product:123", product, 300) is True
    assert await call_twin(cache.get, "product:123") == product
    assert await call_twin(cache.delete, "product:123") is True
    assert await call_twin(cache.delete, "product:123") is False
    assert await call_twin(cache.get, "product:123", "nothing") == "nothing"


async def test_none_is_a_value(call_twin: CallTwin, alias: str) -> None:
    cache = CacheManager("acme", alias=alias)
    await call_twin(cache.set, "x", None, 300)
    assert await call_twin(cache.get, "x", "missing") is None
    assert await call_twin(cache.get_many, ["x", "y"]) == {"x": None}


async def test_many_at_once(call_twin: CallTwin, alias: str) -> None:
    cache = CacheManager("acme", alias=alias)
    assert await call_twin(cache.set_many, {"a": 1, "b": (2,)}, 300)
    assert await call_twin(cache.get_many, ["a", "b", "c", "a"]) == {"a": 1, "b": (2,)}
    assert await call_twin(cache.delete_many, ["a", "b", "c"]) == 2
    assert await call_twin(cache.get_many, ["a", "b"]) == {}
    assert await call_twin(cache.set_many, {}) and await call_twin(cache.get_many, []) == {}
    assert await call_twin(cache.delete_many, []) == 0


async def test_counters_add_and_keep_their_time(call_twin: CallTwin, alias: str) -> None:
    cache = CacheManager("acme", alias=alias)
    await call_twin(cache.set, "n", 5, 300)
    assert await call_twin(cache.incr, "n") == 6
    assert await call_twin(cache.incr, "n", 10) == 16
    assert await call_twin(cache.decr, "n", 17) == -1
    assert await call_twin(cache.get, "n") == -1
    [left_ms] = cache._store.pttl([keyspace.cache_entry("acme", "n")]).run()
    assert 290_000 < left_ms <= 300_000


@pytest.mark.parametrize("value", ["5", 5.0, [5], None, True])
async def test_what_is_no_whole_number_is_no_counter(call_twin: CallTwin, alias: str, value: Any) -> None:
    cache = CacheManager("acme", alias=alias)
    await call_twin(cache.set, "n", value, 300)
    with pytest.raises(NotACounter):
        await call_twin(cache.incr, "n")


async def test_a_missing_or_flushed_or_tagged_or_huge_counter_is_refused(
    call_twin: CallTwin, alias: str
) -> None:
    cache = CacheManager("acme", alias=alias)
    with pytest.raises(ValueError, match="is missing"):
        await call_twin(cache.incr, "n")
    await call_twin(cache.set, "n", 1, 300)
    await call_twin(cache.flush_product)
    with pytest.raises(NotACounter, match="is missing"):
        await call_twin(cache.incr, "n")
    await call_twin(cache.set, "n", 1, 300, tags=["t"])
    with pytest.raises(NotACounter, match="carries tags"):
        await call_twin(cache.incr, "n")
    await call_twin(cache.set, "n", 2**53, 300)
    with pytest.raises(NotACounter, match=r"2\^53"):
        await call_twin(cache.incr, "n")


async def test_touch_starts_the_time_again(call_twin: CallTwin, alias: str) -> None:
    cache = CacheManager("acme", alias=alias)
    await call_twin(cache.set, "x", 1, 10)
    assert await call_twin(cache.touch, "x", 300) is True
    [left_ms] = cache._store.pttl([keyspace.cache_entry("acme", "x")]).run()
    assert left_ms > 200_000
    assert await call_twin(cache.touch, "y", 300) is False
    await call_twin(cache.flush_product)
    assert await call_twin(cache.touch, "x", 300) is False


async def test_entries_expire(call_twin: CallTwin, alias: str) -> None:
    cache = CacheManager("acme", alias=alias)
    await call_twin(cache.set, "x", 1, 0.03)
    await await_until(lambda: cache.get("x") is None)


async def test_flush_forgets_one_product(call_twin: CallTwin, alias: str) -> None:
    acme, other = CacheManager("acme", alias=alias), CacheManager("acme-", alias=alias)
    for cache in (acme, other):
        await call_twin(cache.set_many, {"x": 1, "y": 2}, 300)
    await call_twin(acme.flush_product)
    assert await call_twin(acme.get_many, ["x", "y"]) == {}
    assert await call_twin(other.get_many, ["x", "y"]) == {"x": 1, "y": 2}
    await call_twin(acme.set, "x", 3, 300)
    assert await call_twin(acme.get_many, ["x", "y"]) == {"x": 3}


async def test_tags_forget_what_carries_them(call_twin: CallTwin, alias: str) -> None:
    cache = CacheManager("acme", alias=alias)
    await call_twin(cache.set, "a", 1, 300, tags=["red", "big"])
    await call_twin(cache.set_many, {"b": 2, "c": 3}, 300, tags=["big"])
    await call_twin(cache.set, "d", 4, 300)
    await call_twin(cache.flush_tags, "red")
    assert await call_twin(cache.get_many, "abcd") == {"b": 2, "c": 3, "d": 4}
    await call_twin(cache.flush_tags, "big", "other")
    assert await call_twin(cache.get_many, "abcd") == {"d": 4}


@pytest.mark.parametrize("key", HOSTILE_KEYS)
async def test_hostile_keys_are_keys_like_any_other(call_twin: CallTwin, alias: str, key: str) -> None:
    cache = CacheManager("acme", alias=alias)
    await call_twin(cache.set_many, {"x": 1, key: 2}, 300, tags=[key])
    assert await call_twin(cache.get_many, ["x", key]) == {"x": 1, key: 2}
    await call_twin(cache.delete, key)
    assert await call_twin(cache.get_many, ["x", key]) == {"x": 1}


@pytest.mark.parametrize("key", ["", "x" * 2001, None, 5, b"x"])
async def test_what_is_no_key_is_refused(call_twin: CallTwin, key: Any) -> None:
    with pytest.raises(InvalidName, match="not a valid cache key"):
        await call_twin(CacheManager("acme").get, key)


def test_bad_products_and_tags_are_refused() -> None:
    with pytest.raises(InvalidProduct):
        CacheManager("a:b")
    with pytest.raises(InvalidName, match="list or tuple of tags"):
        CacheManager("acme").set("x", 1, 300, tags="red")
    with pytest.raises(InvalidName, match="32 at most"):
        CacheManager("acme").set("x", 1, 300, tags=map(str, range(33)))


@pytest.mark.parametrize("timeout", [0, -1, None, True, float("nan"), float("inf"), "300", 30 * 86400 + 1])
async def test_a_timeout_that_is_none_is_refused(call_twin: CallTwin, timeout: Any) -> None:
    cache = CacheManager("acme")
    for method, arguments in ((cache.set, ("x", 1)), (cache.touch, ("x",)), (cache.get_or_set, ("x", int))):
        with pytest.raises(InvalidNumber, match="Every entry expires"):
            await call_twin(method, *arguments, timeout)


async def test_no_timeout_is_the_alias_own(call_twin: CallTwin, cache_redis: redis.Redis) -> None:
    await call_twin(CacheManager("acme").set, "x", 1)
    key = django_cache.make_key(keyspace.cache_entry("acme", "x"))
    assert 290 < cache_redis.ttl(str(key)) <= 300


async def test_an_oversize_value_is_refused_with_size_and_limit(call_twin: CallTwin, settings: Any) -> None:
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "CACHE_MAX_VALUE_BYTES": 100}
    cache = CacheManager("acme")
    for method, argument in ((cache.set, "y" * 200), (cache.get_or_set, lambda: "y" * 200)):
        with pytest.raises(ValueTooLarge, match="takes 211 bytes") as caught:
            await call_twin(method, "x", argument, 300)
        assert caught.value.limit_bytes == 100
    with pytest.raises(UncacheableValue):
        await call_twin(cache.set, "x", object(), 300)
    assert await call_twin(cache.get, "x") is None


async def test_round_trips(call_twin: CallTwin) -> None:
    cache = CacheManager("acme")
    await call_twin(cache.set, "warm", 1, 300)
    await call_twin(cache.get_or_set, "warm too", int, 300)
    with count_round_trips() as calls:
        await call_twin(cache.set, "a", 1, 300)
        assert (calls.of("evalsha"), calls.of("eval")) == (1, 0)
        await call_twin(cache.get, "a")
        assert calls.of("mget") == 1
        await call_twin(cache.get_many, ["a", "b", "c"])
        assert calls.of("mget") == 2
        await call_twin(cache.get_or_set, "a", int, 300)  # a hit
        assert calls.of("evalsha") == 2
        await call_twin(cache.get_or_set, "b", int, 300)  # a miss: read with lease, store with release
        assert calls.of("evalsha") == 4
        await call_twin(cache.flush_product)
        assert (calls.of("mget"), calls.of("evalsha"), calls.of("unlink")) == (2, 4, 0)
        await call_twin(cache.set, "t", 1, 300, tags=["a", "b"])
        await call_twin(cache.get, "t")
        assert (calls.of("mget"), calls.of("evalsha")) == (4, 5)


async def test_a_foreign_value_under_our_key_is_a_miss(call_twin: CallTwin, cache_redis: redis.Redis) -> None:
    cache = CacheManager("acme")
    await call_twin(cache.set, "x", 1, 300)
    key = str(django_cache.make_key(keyspace.cache_entry("acme", "x")))
    whole: Any = cache_redis.get(key)
    for foreign in (
        b"",
        b"\x80\x04K\x01.",
        b"12",
        whole[:12],
        whole[:10] + b"\xff" + whole[11:],
        whole[:-1] + b"}",
    ):
        cache_redis.set(key, foreign)
        assert await call_twin(cache.get, "x", "miss") == "miss"


async def test_without_redis_reads_miss_and_removals_raise(
    call_twin: CallTwin, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisServer() as server:
        settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": server.url(1)}}
        cache = CacheManager("acme")
        await call_twin(cache.set, "x", 1, 300)
        server.kill()
        assert await call_twin(cache.get, "x", "miss") == "miss"
        assert await call_twin(cache.get_many, ["x"]) == {}
        assert await call_twin(cache.set, "x", 2, 300) is False
        assert await call_twin(cache.set_many, {"x": 2}, 300) is False
        assert await call_twin(cache.get_or_set, "x", lambda: "built", 300) == "built"
        assert await call_twin(cache.get_or_set_many, ["x"], lambda keys: dict.fromkeys(keys, 5), 300) == {
            "x": 5
        }
        for removal, arguments in (
            (cache.delete, ["x"]),
            (cache.delete_many, [["x"]]),
            (cache.flush_product, []),
            (cache.flush_tags, ["t"]),
            (cache.incr, ["x"]),
        ):
            with pytest.raises(RedisUnavailable):
                await call_twin(removal, *arguments)
        server.start()
        await await_until(lambda: cache.set("x", 3, 300))
        assert await call_twin(cache.get, "x") == 3
        close_sync_clients()
