from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
from typing import Any

import pytest
import redis

from pleme_redis_django import CacheManager, RedisUnavailable, Uncached
from pleme_redis_django.redis_state.server import keyspace
from tests.redis_state.cache.builders import Builder, due_for_refresh
from tests.redis_state.conftest import CallTwin, blocked_clients
from tests.redis_state.lossy_proxy import LossyProxy
from tests.waiting import await_until, wait_until


async def test_a_value_is_built_once_and_kept(call_twin: CallTwin, alias: str) -> None:
    cache, build = CacheManager("acme", alias=alias), Builder({"rows": (1, 2)})
    for _ in range(3):
        assert await call_twin(cache.get_or_set, "x", build, 300) == {"rows": (1, 2)}
    assert build.builds == 1
    assert await call_twin(cache.get, "x") == {"rows": (1, 2)}


@pytest.mark.parametrize("tasks", [200, 2500])  # more than there are connections
async def test_many_misses_at_once_build_once(loop_clients: None, tasks: int) -> None:
    cache, builds = CacheManager("acme"), 0
    entered, go = asyncio.Event(), asyncio.Event()

    async def build() -> str:
        nonlocal builds
        builds += 1
        entered.set()
        await go.wait()
        return "built"

    asking = asyncio.gather(*(cache.aget_or_set("x", build, 300) for _ in range(tasks)))
    await entered.wait()  # by now every task has asked: they were all started before the first reply
    go.set()
    results = await asking
    assert results == ["built"] * tasks
    assert builds == 1


def test_200_threads_build_once() -> None:
    cache, build, results = CacheManager("acme"), Builder(), []
    threads = [
        threading.Thread(target=lambda: results.append(cache.get_or_set("x", build, 300))) for _ in range(200)
    ]
    build.hold()
    for thread in threads:
        thread.start()
    assert build.entered.wait(20)
    build.release()
    for thread in threads:
        thread.join(20)
    assert results == ["built"] * 200
    assert build.builds == 1


def _build_in_another_process(
    settings: dict[str, Any], caches: dict[str, Any], start: Any, built: Any, go: Any
) -> None:
    from django.conf import settings as django_settings

    django_settings.PLEME_REDIS, django_settings.CACHES = settings, caches
    start.wait(20)

    def build() -> int:
        built.put(os.getpid())
        assert go.wait(20)
        return 1

    CacheManager("acme").get_or_set("x", build, 300)


def test_processes_build_once(settings: Any, cache_redis: redis.Redis) -> None:
    context = multiprocessing.get_context("fork")
    start, built, go = context.Barrier(5), context.Queue(), context.Event()
    arguments = (settings.PLEME_REDIS, settings.CACHES, start, built, go)
    processes = [context.Process(target=_build_in_another_process, args=arguments) for _ in range(4)]
    for process in processes:
        process.start()
    start.wait(20)
    wait_until(lambda: blocked_clients(cache_redis) == 3, "the other processes wait for the build")
    go.set()
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    assert built.get(timeout=5) and built.empty()


async def test_stale_values_are_served_while_one_builds(call_twin: CallTwin, alias: str) -> None:
    cache, old, new = CacheManager("acme", alias=alias), Builder("old"), Builder("new")
    options = {"grace": 60, "beta": 0}
    assert await call_twin(cache.get_or_set, "x", old, 0.05, **options) == "old"
    await await_until(lambda: cache.get("x") is None)  # stale: not for those who ask for fresh values
    new.hold()
    building = asyncio.ensure_future(asyncio.to_thread(cache.get_or_set, "x", new, 300, **options))
    await asyncio.to_thread(new.entered.wait, 20)
    assert await call_twin(cache.get_or_set, "x", new, 300, **options) == "old"
    new.release()
    assert await building == "new"
    assert await call_twin(cache.get_or_set, "x", new, 300, **options) == "new"
    assert (old.builds, new.builds) == (1, 1)


async def test_the_end_of_the_grace_is_the_end(call_twin: CallTwin, alias: str) -> None:
    cache, build = CacheManager("acme", alias=alias), Builder()
    await call_twin(cache.get_or_set, "x", build, 0.02, grace=0.02)
    key = keyspace.cache_entry("acme", "x")
    await await_until(lambda: cache._store.mget([key]).run() == [None])
    await call_twin(cache.get_or_set, "x", build, 300)
    assert build.builds == 2


async def test_slow_builds_are_repeated_ahead_of_time(
    call_twin: CallTwin, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, build = CacheManager("acme"), Builder("new")
    due_for_refresh(cache, "x", "old", monkeypatch)
    rolls = iter([0.5, 0.999])
    monkeypatch.setattr("pleme_redis_django.redis_state.cache.operations.random.random", lambda: next(rolls))
    assert await call_twin(cache.get_or_set, "x", build, 300) == "old"
    assert await call_twin(cache.get_or_set, "x", build, 300) == "new"


async def test_none_can_be_kept_shorter_or_not_at_all(call_twin: CallTwin, alias: str) -> None:
    cache, nothing = CacheManager("acme", alias=alias), Builder(None)
    for _ in range(2):
        assert await call_twin(cache.get_or_set, "x", nothing, 300, none_timeout=60) is None
    assert nothing.builds == 1
    [left_ms] = cache._store.pttl([keyspace.cache_entry("acme", "x")]).run()
    assert 50_000 < left_ms <= 60_000
    for _ in range(2):
        assert await call_twin(cache.get_or_set, "y", nothing, 300, none_timeout=0) is None
    assert nothing.builds == 3


async def test_a_builder_may_keep_its_value_out(call_twin: CallTwin, alias: str) -> None:
    cache = CacheManager("acme", alias=alias)
    assert await call_twin(cache.get_or_set, "x", lambda: Uncached(object), 300) is object
    assert await call_twin(cache.get, "x") is None


@pytest.mark.parametrize("flush", ["product", "tag"])
async def test_a_flush_during_a_build_voids_what_it_stores(
    call_twin: CallTwin, alias: str, flush: str
) -> None:
    cache = CacheManager("acme", alias=alias)

    def build() -> str:
        cache.flush_product() if flush == "product" else cache.flush_tags("red")
        return "from before the flush"

    tags = ["blue", "red"]
    assert await call_twin(cache.get_or_set, "x", build, 300, tags=tags) == "from before the flush"
    assert await call_twin(cache.get, "x") is None
    assert await call_twin(cache.get_or_set, "x", lambda: "after", 300, tags=tags) == "after"
    assert await call_twin(cache.get, "x") == "after"


async def test_many_are_loaded_once(call_twin: CallTwin, alias: str) -> None:
    cache, asked = CacheManager("acme", alias=alias), []

    def load(keys: list[str]) -> dict[str, Any]:
        asked.append(keys)
        return {key: key.upper() for key in keys if key != "unknown"}

    await call_twin(cache.set, "a", "A", 300)
    expected = {"a": "A", "b": "B", "c": "C"}
    assert await call_twin(cache.get_or_set_many, ["a", "b", "c", "b", "unknown"], load, 300) == expected
    assert await call_twin(cache.get_or_set_many, ["a", "b", "c"], load, 300) == expected
    assert asked == [["b", "c", "unknown"]]
    assert await call_twin(cache.get_or_set_many, [], load, 300) == {}


async def test_a_flush_during_a_load_voids_what_it_stores(call_twin: CallTwin, alias: str) -> None:
    cache = CacheManager("acme", alias=alias)

    def load(keys: list[str]) -> dict[str, int]:
        cache.flush_product()
        return dict.fromkeys(keys, 1)

    assert await call_twin(cache.get_or_set_many, ["a"], load, 300) == {"a": 1}
    assert await call_twin(cache.get_many, ["a"]) == {}


async def test_waiting_for_another_builder_has_an_end(call_twin: CallTwin, alias: str) -> None:
    cache, slow = CacheManager("acme", alias=alias), Builder("slow")
    slow.hold()
    building = asyncio.ensure_future(asyncio.to_thread(cache.get_or_set, "x", slow, 300))
    await asyncio.to_thread(slow.entered.wait, 20)
    assert await call_twin(cache.get_or_set, "x", lambda: "own", 300, wait_seconds=0.01) == "own"
    slow.release()
    assert await building == "slow"


async def test_coroutine_builders_and_awaitables_are_awaited(loop_clients: None) -> None:
    async def build() -> int:
        return 5

    cache = CacheManager("acme")
    assert await cache.aget_or_set("x", build, 300) == 5
    assert await cache.aget_or_set("y", lambda: build(), 300) == 5
    with pytest.raises(TypeError, match="aget_or_set"):
        cache.get_or_set("z", build, 300)


async def test_an_outage_while_storing_costs_the_entry_only(
    call_twin: CallTwin, lossy_redis: LossyProxy
) -> None:
    def build() -> str:
        raise RedisUnavailable("not the cache's")

    with pytest.raises(RedisUnavailable, match="not the cache's"):  # the builder's own errors are its own
        await call_twin(CacheManager("acme").get_or_set, "x", build, 300)
