from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pleme_redis_django import CacheManager
from pleme_redis_django.exceptions import JobCancelled
from pleme_redis_django.redis_state.server.connections import close_async_clients
from pleme_redis_django.redis_state.server.scripts import script
from tests.redis_state.cache.builders import Builder, due_for_refresh
from tests.redis_state.conftest import CallTwin
from tests.redis_state.lossy_proxy import LossyProxy
from tests.waiting import await_until


async def test_a_cancelled_opening_leaves_no_lease(loop_clients: None) -> None:
    cache = CacheManager("acme")
    for ticks in range(25):
        await close_async_clients()  # connecting has the most moments
        task = asyncio.ensure_future(cache.aget_or_set(f"x{ticks}", lambda: 1, 300))
        for _ in range(ticks):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        assert await cache.aget_or_set(f"x{ticks}", lambda: 2, 300, wait_seconds=0) in (1, 2)
        assert await cache.aget(f"x{ticks}") in (1, 2)


async def test_a_lost_reply_to_an_opening_leaves_the_lease_with_its_caller(
    call_twin: CallTwin, lossy_redis: LossyProxy, settings: Any
) -> None:
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": lossy_redis.url}}
    cache = CacheManager("acme")
    await call_twin(cache.get_or_set, "warm", int, 300)  # the server knows the script
    lossy_redis.lose_replies(script("cache_open").sha.encode())
    assert await call_twin(cache.get_or_set, "x", lambda: "built", 300, wait_seconds=0) == "built"
    assert await call_twin(cache.get, "x") == "built"


async def test_a_failed_build_lets_the_next_one_try(call_twin: CallTwin, alias: str) -> None:
    cache = CacheManager("acme", alias=alias)
    with pytest.raises(ZeroDivisionError):
        await call_twin(cache.get_or_set, "x", lambda: 1 / 0, 300)
    assert await call_twin(cache.get_or_set, "x", lambda: 2, 300, wait_seconds=0) == 2
    assert await call_twin(cache.get, "x") == 2


async def test_a_cancelled_build_lets_the_next_one_try(loop_clients: None) -> None:
    cache, entered = CacheManager("acme"), asyncio.Event()

    async def build() -> None:
        entered.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(cache.aget_or_set("x", build, 300))
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await cache.aget_or_set("x", lambda: 2, 300, wait_seconds=0) == 2
    assert await cache.aget("x") == 2


async def test_a_cancelled_end_of_a_build_leaves_no_lease(loop_clients: None) -> None:
    cache = CacheManager("acme")
    for ticks in range(25):
        built = asyncio.Event()

        async def build(built: asyncio.Event = built) -> int:
            await close_async_clients()  # connecting has the most moments
            built.set()
            return 1

        task = asyncio.ensure_future(cache.aget_or_set(f"x{ticks}", build, 300))
        await built.wait()
        for _ in range(ticks):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        assert await cache.aget_or_set(f"x{ticks}", lambda: 2, 300, wait_seconds=0) in (1, 2)
        assert await cache.aget(f"x{ticks}") in (1, 2)


async def test_a_cancelled_end_of_a_build_cancels_its_caller(loop_clients: None, alias: str) -> None:
    cache, built = CacheManager("acme", alias=alias), asyncio.Event()

    async def build() -> int:
        built.set()
        return 1

    task = asyncio.ensure_future(cache.aget_or_set("x", build, 300))
    await built.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await cache.aget("x") == 1


async def test_a_refresh_that_fails_ahead_of_time_costs_its_reader_nothing(
    call_twin: CallTwin, alias: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache, build = CacheManager("acme", alias=alias), Builder("new")
    due_for_refresh(cache, "x", "old", monkeypatch)
    assert await call_twin(cache.get_or_set, "x", lambda: 1 / 0, 300) == "old"
    assert "'x'" in caplog.text and "ZeroDivisionError" in caplog.text
    assert await call_twin(cache.get, "x") == "old"
    due_for_refresh(cache, "x", "old", monkeypatch)
    assert await call_twin(cache.get_or_set, "x", build, 300) == "new"  # the lease was given back


async def test_a_refresh_that_fails_in_the_grace_costs_its_reader_nothing(
    call_twin: CallTwin, alias: str
) -> None:
    cache, build = CacheManager("acme", alias=alias), Builder("new")
    options = {"grace": 60, "beta": 0}
    await call_twin(cache.get_or_set, "x", lambda: "old", 0.02, **options)
    await await_until(lambda: cache.get("x") is None)
    for _ in range(2):
        assert await call_twin(cache.get_or_set, "x", lambda: 1 / 0, 300, **options) == "old"
    assert await call_twin(cache.get_or_set, "x", build, 300, **options) == "new"


async def test_what_ends_the_caller_ends_a_refresh_too(call_twin: CallTwin, alias: str) -> None:
    cache = CacheManager("acme", alias=alias)
    options = {"grace": 60, "beta": 0}
    await call_twin(cache.get_or_set, "x", lambda: "old", 0.02, **options)
    await await_until(lambda: cache.get("x") is None)

    def build() -> str:
        raise JobCancelled("by its user")

    with pytest.raises(JobCancelled):
        await call_twin(cache.get_or_set, "x", build, 300, **options)


@pytest.mark.parametrize("kept", [False, True], ids=["missing", "to be refreshed"])
async def test_a_delete_during_a_build_voids_what_it_stores(
    call_twin: CallTwin, alias: str, kept: bool
) -> None:
    cache, other = CacheManager("acme", alias=alias), CacheManager("acme", alias=alias)
    if kept:
        await call_twin(cache.get_or_set, "x", lambda: "older", 0.02, grace=60)
        await await_until(lambda: cache.get("x") is None)

    def build() -> str:
        assert other.delete("x") is kept
        return "from before the delete"

    assert await call_twin(cache.get_or_set, "x", build, 300, grace=60, beta=0) == "from before the delete"
    assert await call_twin(cache.get, "x") is None
    assert await call_twin(cache.get_or_set, "x", lambda: "after", 300, wait_seconds=0) == "after"
    assert await call_twin(cache.get, "x") == "after"


@pytest.mark.parametrize("write", ["set", "set_many"])
async def test_a_write_during_a_build_is_kept(call_twin: CallTwin, alias: str, write: str) -> None:
    cache, other = CacheManager("acme", alias=alias), CacheManager("acme", alias=alias)

    def build() -> str:
        other.set("x", "newer", 300) if write == "set" else other.set_many({"x": "newer", "y": 1}, 300)
        return "built"

    assert await call_twin(cache.get_or_set, "x", build, 300) == "built"
    assert await call_twin(cache.get, "x") == "newer"


async def test_an_addition_during_an_early_refresh_is_kept(
    call_twin: CallTwin, alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, other = CacheManager("acme", alias=alias), CacheManager("acme", alias=alias)
    due_for_refresh(cache, "n", 1, monkeypatch)

    def build() -> int:
        other.incr("n", 10)
        return 1

    assert await call_twin(cache.get_or_set, "n", build, 300) == 1
    assert await call_twin(cache.get, "n") == 11


async def test_a_builder_that_lost_its_lease_stores_nothing(
    call_twin: CallTwin, alias: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache, late = CacheManager("acme", alias=alias), Builder("older")
    late.hold()
    building = asyncio.ensure_future(asyncio.to_thread(cache.get_or_set, "x", late, 300, build_seconds=0.05))
    await asyncio.to_thread(late.entered.wait, 20)
    assert await call_twin(cache.get_or_set, "x", lambda: "newer", 300) == "newer"
    late.release()
    assert await building == "older"
    assert "longer than its build_seconds" in caplog.text
    assert await call_twin(cache.get, "x") == "newer"


async def test_a_late_builder_leaves_another_one_its_lease(call_twin: CallTwin, alias: str) -> None:
    cache, late, next_one = CacheManager("acme", alias=alias), Builder("older"), Builder("newer")
    late.hold()
    next_one.hold()
    first = asyncio.ensure_future(asyncio.to_thread(cache.get_or_set, "x", late, 300))
    await asyncio.to_thread(late.entered.wait, 20)
    await call_twin(cache.delete, "x")
    second = asyncio.ensure_future(asyncio.to_thread(cache.get_or_set, "x", next_one, 300))
    await asyncio.to_thread(next_one.entered.wait, 20)
    late.release()
    assert await first == "older"
    assert await call_twin(cache.get, "x") is None
    assert await call_twin(cache.get_or_set, "x", lambda: "own", 300, wait_seconds=0) == "own"
    next_one.release()
    assert await second == "newer"
    assert await call_twin(cache.get, "x") == "newer"


async def test_a_dead_builder_holds_up_nobody_past_its_lease(call_twin: CallTwin, alias: str) -> None:
    cache, dead = CacheManager("acme", alias=alias), Builder("dead")
    dead.hold()
    building = asyncio.ensure_future(asyncio.to_thread(cache.get_or_set, "x", dead, 300, build_seconds=0.05))
    await asyncio.to_thread(dead.entered.wait, 20)
    assert await call_twin(cache.get_or_set, "x", lambda: "alive", 300) == "alive"
    dead.release()
    await building
