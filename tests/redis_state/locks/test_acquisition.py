from __future__ import annotations

import asyncio
import threading

import pytest
import redis

from pleme_redis_django import LockBusy, LockManager
from pleme_redis_django.redis_state.server.connections import close_async_clients
from tests.redis_state.conftest import CallTwin, blocked_clients
from tests.redis_state.lossy_proxy import LossyProxy
from tests.round_trips import count_round_trips
from tests.waiting import await_until


async def test_a_release_wakes_a_waiter_without_polling(call_twin: CallTwin, raw_redis: redis.Redis) -> None:
    locks = LockManager("acme")
    holder = await call_twin(locks.try_lock, "x", 60)
    with count_round_trips() as calls:
        waiting = asyncio.ensure_future(call_twin(locks.lock("x", 60, 30).acquire))
        await await_until(lambda: blocked_clients(raw_redis) == 1)
        await call_twin(holder.release)
        guard = await waiting
    assert calls.of("evalsha") == 3  # busy, release, granted
    assert calls.of("blpop") == 1
    assert await call_twin(guard.release)


async def test_an_expiry_lets_a_waiter_in_without_a_release(call_twin: CallTwin) -> None:
    locks = LockManager("acme")
    abandoned = await call_twin(locks.try_lock, "x", 0.05)
    guard = await call_twin(locks.lock("x", 60, 10).acquire)
    assert guard.fence > abandoned.fence
    assert await call_twin(abandoned.release) is False


async def test_many_waiters_are_served_one_at_a_time(call_twin: CallTwin) -> None:
    locks, inside, most = LockManager("acme"), 0, 0

    async def work() -> None:
        nonlocal inside, most
        guard = await call_twin(locks.lock("x", 30, 30).acquire)
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0)
        inside -= 1
        assert await call_twin(guard.release)

    await asyncio.gather(*(work() for _ in range(5)))
    assert most == 1


async def test_waiting_in_vain_names_the_holder(call_twin: CallTwin) -> None:
    import os

    locks = LockManager("acme")
    await call_twin(locks.try_lock, "x", 60)
    with pytest.raises(LockBusy, match=f"held by process {os.getpid()}") as caught:
        await call_twin(locks.lock("x", 60, 0.01).acquire)
    assert caught.value.holder_pid == os.getpid()
    assert 59 < caught.value.remaining_seconds <= 60


async def test_a_cancelled_waiter_holds_nothing(loop_clients: None, raw_redis: redis.Redis) -> None:
    locks = LockManager("acme")
    holder = locks.try_lock("x", 60)
    assert holder is not None
    waiting = asyncio.ensure_future(locks.lock("x", 60, 30).aacquire())
    await await_until(lambda: blocked_clients(raw_redis) == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    holder.release()
    assert locks.try_lock("x", 60) is not None


async def test_a_cancellation_at_any_moment_of_a_wait_ends_it(loop_clients: None) -> None:
    locks = LockManager("acme")
    holder = locks.try_lock("x", 60)
    assert holder is not None
    for ticks in range(40):
        await close_async_clients()  # connecting has the most moments
        waiting = asyncio.ensure_future(locks.lock("x", 60, 30).aacquire())
        for _ in range(ticks):
            await asyncio.sleep(0)
        waiting.cancel()
        done, _pending = await asyncio.wait({waiting}, timeout=5)
        assert done and waiting.cancelled(), ticks
    assert holder.release()
    assert locks.try_lock("x", 60) is not None


async def test_a_cancelled_acquire_leaves_nothing_held(loop_clients: None, lossy_redis: LossyProxy) -> None:
    locks = LockManager("acme")
    lossy_redis.hold_replies()
    taking = asyncio.ensure_future(locks.atry_lock("x", 60))
    await await_until(lambda: lossy_redis.requests)
    taking.cancel()
    lossy_redis.let_replies_go()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert await locks.aholder("x") is None


async def test_a_timeout_around_a_wait_ends_it(loop_clients: None) -> None:
    locks = LockManager("acme")
    locks.try_lock("x", 60)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await locks.lock("x", 60, 30).aacquire()


def test_decorated_functions_take_the_lock_for_each_call() -> None:
    locks = LockManager("acme")

    @locks.lock(lambda order, **_: f"order:{order}", 30, 0)
    def reserve(order: int, *, note: str) -> str:
        """Docs stay."""
        assert locks.try_lock(f"order:{order}", 30) is None
        return note

    assert reserve.__doc__ == "Docs stay."
    assert reserve(7, note="ok") == "ok"
    assert reserve(7, note="again") == "again"
    with locks.lock("order:7", 30), pytest.raises(LockBusy):
        reserve(7, note="busy")


async def test_decorated_coroutines_take_the_lock_for_each_call(loop_clients: None) -> None:
    locks = LockManager("acme")

    @locks.lock("report", 30, 5)
    async def report() -> int:
        assert await locks.atry_lock("report", 30) is None
        await asyncio.sleep(0)
        return 5

    assert await asyncio.gather(report(), report(), report()) == [5, 5, 5]


def test_a_named_by_arguments_lock_is_a_decorator_only() -> None:
    with pytest.raises(TypeError, match="decorator only"):
        LockManager("acme").lock(lambda x: x, 30).acquire()


def test_one_description_may_be_entered_by_several_threads() -> None:
    shared, inside, counted = LockManager("acme").lock("x", 30, 30), [0], []

    def work() -> None:
        with shared:
            inside[0] += 1
            counted.append(inside[0])
            inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    assert counted == [1] * 8
