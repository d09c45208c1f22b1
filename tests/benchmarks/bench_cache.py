"""The cache beside django-redis (JSON), Django's RedisCache and cashews, on one Redis over TCP."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.side_by_side import amicroseconds, microseconds

SLICES, PER_SLICE = 80, 50
AT_ONCE = 50
MISSES = 200
BUILD_SECONDS = 0.05
VALUE = {"id": 123, "title": "Metropolis", "genres": ["drama", "sci-fi"], "price": 9.9, "plot": "x" * 300}
TARGET_GET = 1.3
TARGET_ASYNC_GET = 5.0


def run(servers: BenchmarkServers) -> list[Row]:
    from django.test.utils import override_settings

    from pleme_redis_django.redis_state.server.connections import close_sync_clients
    from pleme_redis_django.testing.servers import RedisServer

    with RedisServer(tcp=True) as server:
        url = server.url(1)
        caches = {
            "default": {
                "BACKEND": "django_redis.cache.RedisCache",
                "LOCATION": url,
                "OPTIONS": {"SERIALIZER": "django_redis.serializers.json.JSONSerializer"},
            },
            "django": {
                "BACKEND": "django.core.cache.backends.redis.RedisCache",
                "LOCATION": url,
                "KEY_PREFIX": "django",
            },
        }
        with override_settings(CACHES=caches):
            rows = [*_sync(), *asyncio.run(_async(url))]
            close_sync_clients()
    return rows


def _sync() -> list[Row]:
    from django.core.cache import caches

    from pleme_redis_django import CacheManager

    stores: dict[str, Any] = {
        "cache": CacheManager("bench"),
        "django-redis": caches["default"],
        "Django RedisCache": caches["django"],
    }
    sets = {name: (lambda store=store: store.set("key", VALUE, 600)) for name, store in stores.items()}
    gets = {name: (lambda store=store: store.get("key")) for name, store in stores.items()}
    set_us = microseconds(sets, slices=SLICES, per_slice=PER_SLICE)
    assert all(get() == VALUE for get in gets.values())
    get_us = microseconds(gets, slices=SLICES, per_slice=PER_SLICE)
    return [
        *_rates("get, sync", get_us),
        _ratio("cache get against django-redis, sync", get_us["cache"] / get_us["django-redis"], TARGET_GET),
        *_rates("set, sync", set_us),
    ]


async def _async(url: str) -> list[Row]:
    from cashews import Cache
    from django.core.cache import caches

    from pleme_redis_django import CacheManager
    from pleme_redis_django.redis_state.server.connections import close_async_clients

    cashews = Cache()
    cashews.setup(url, max_connections=2 * AT_ONCE)
    await cashews.init()
    ours, django_redis, django = CacheManager("bench"), caches["default"], caches["django"]
    await cashews.set("key", VALUE, expire=600)
    gets: dict[str, Any] = {
        "cache": lambda: ours.aget("key"),
        "django-redis": lambda: django_redis.aget("key"),
        "Django RedisCache": lambda: django.aget("key"),
        "cashews": lambda: cashews.get("key"),
    }
    assert [await get() for get in gets.values()] == [VALUE] * 4
    one = await amicroseconds(gets, slices=20, per_slice=50)
    many = await amicroseconds(gets, slices=20, per_slice=4, at_once=AT_ONCE)
    rows = [
        *_rates("get, async", one),
        *_rates(f"get, async, {AT_ONCE} at once", many),
        Row(
            name=f"cache get against django-redis, async, {AT_ONCE} at once",
            value=many["django-redis"] / many["cache"],
            unit="x rate",
            target=TARGET_ASYNC_GET,
            note="one MGET a turn of the loop",
        ),
        *await _misses(ours),
    ]
    await cashews.close()
    await close_async_clients()
    return rows


async def _misses(cache: Any) -> list[Row]:
    """200 tasks miss one key at once, and its building takes a while."""
    builds = 0

    async def build() -> str:
        nonlocal builds
        builds += 1
        await asyncio.sleep(BUILD_SECONDS)
        return "built"

    await cache.adelete("missed")
    started = time.perf_counter()
    await asyncio.gather(*(cache.aget_or_set("missed", build, 600) for _ in range(MISSES)))
    seconds = time.perf_counter() - started
    return [
        Row(
            name=f"builds for {MISSES} misses at once",
            value=builds,
            unit="builds",
            target=1,
            at_least=False,
            note=f"all served in {1000 * seconds:.0f} ms; a build takes 50",
        )
    ]


def _rates(what: str, spent: dict[str, float]) -> list[Row]:
    return [Row(name=f"{name} {what}", value=1e6 / us, unit="1/s") for name, us in spent.items()]


def _ratio(name: str, value: float, target: float) -> Row:
    return Row(name=name, value=value, unit="x time", target=target, at_least=False, note="taken in turns")
