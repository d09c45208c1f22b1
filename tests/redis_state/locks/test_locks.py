from __future__ import annotations

import asyncio
import datetime
import threading
from typing import Any

import pytest
import redis
import time_machine

from pleme_redis_django import LockBusy, LockLost, LockManager, RedisUnavailable
from pleme_redis_django.exceptions import InvalidName, InvalidNumber, InvalidProduct, RedisNotConfigured
from pleme_redis_django.redis_state.server.connections import close_async_clients
from pleme_redis_django.redis_state.server.keyspace import lock_keys
from pleme_redis_django.testing.servers import RedisServer
from tests.redis_state.conftest import CallTwin, CountRoundTrips, blocked_clients
from tests.redis_state.lossy_proxy import LossyProxy
from tests.waiting import await_until

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


class HandClock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


async def test_free_lock_is_taken_and_a_held_one_answers_none(call_twin: CallTwin) -> None:
    locks = LockManager("acme")
    guard = await call_twin(locks.try_lock, "resource:123", 60)
    assert guard is not None and not guard.lost and 59 < guard.remaining_seconds <= 60
    assert await call_twin(locks.try_lock, "resource:123", 60) is None
    assert await call_twin(guard.release) is True
    assert await call_twin(locks.try_lock, "resource:123", 60) is not None


async def test_a_second_release_sends_nothing_and_says_the_same(
    call_twin: CallTwin, count_round_trips: CountRoundTrips
) -> None:
    guard = await call_twin(LockManager("acme").try_lock, "x", 60)
    await call_twin(guard.release)
    with count_round_trips() as calls:
        assert await call_twin(guard.release) is True
    assert calls.of("evalsha") == 0
    assert guard.remaining_seconds == 0 and not guard.lost


async def test_taking_and_releasing_cost_one_round_trip_each(
    call_twin: CallTwin, count_round_trips: CountRoundTrips
) -> None:
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
    with pytest.raises(RedisNotConfigured, match="locks live in Redis"):
        LockManager().try_lock("x", 60)


async def test_a_lost_reply_of_the_acquire_orphans_nothing(
    call_twin: CallTwin, lossy_redis: LossyProxy
) -> None:
    locks = LockManager("acme")
    await call_twin((await call_twin(locks.try_lock, "warm", 60)).release)
    lossy_redis.lose_replies(b"EVALSHA")
    guard = await call_twin(locks.try_lock, "x", 60)
    assert guard is not None
    assert (await call_twin(locks.holder, "x")).fence == guard.fence
    assert await call_twin(guard.release) is True
    assert await call_twin(locks.holder, "x") is None


async def test_a_lost_reply_of_the_release_is_no_lost_lock(
    call_twin: CallTwin, lossy_redis: LossyProxy
) -> None:
    locks = LockManager("acme")
    guard = await call_twin(locks.try_lock, "x", 60)
    lossy_redis.lose_replies(b"EVALSHA")
    assert await call_twin(guard.release) is True
    assert not guard.lost
    assert await call_twin(locks.holder, "x") is None


async def test_redis_restarted_empty_is_noticed_and_the_fence_still_grows(
    call_twin: CallTwin, own_redis: RedisServer
) -> None:
    locks = LockManager("acme")
    guard = await call_twin(locks.try_lock, "x", 60)
    own_redis.kill()
    own_redis.start()
    usurper = await call_twin(locks.try_lock, "x", 60)
    assert usurper.fence > guard.fence
    assert await call_twin(guard.renew) is False
    assert guard.lost
    assert await call_twin(guard.release) is False
    assert not usurper.lost and await call_twin(usurper.release)


async def test_fences_grow_with_each_holder(call_twin: CallTwin) -> None:
    locks, fences = LockManager("acme"), []
    for _ in range(20):
        async with await call_twin(locks.try_lock, "x", 60) as guard:
            fences.append(guard.fence)
    assert fences == sorted(set(fences))


async def test_a_fence_grows_when_the_servers_clock_went_back(
    call_twin: CallTwin, raw_redis: redis.Redis
) -> None:
    locks = LockManager("acme")
    an_hour_ahead = (await call_twin(locks.try_lock, "before", 60)).fence + 3_600_000_000
    raw_redis.set(lock_keys("acme", "x").fence, an_hour_ahead)
    assert (await call_twin(locks.try_lock, "x", 60)).fence == an_hour_ahead + 1


async def test_a_guard_counts_from_before_its_request_was_sent(call_twin: CallTwin) -> None:
    clock = HandClock()
    guard = await call_twin(LockManager("acme", clock=clock).try_lock, "x", 30)
    clock.seconds += 29.9
    assert not guard.lost and guard.remaining_seconds == pytest.approx(0.1)
    clock.seconds += 0.1
    assert guard.lost and guard.remaining_seconds == 0
    assert await call_twin(guard.renew)  # Redis still has our token: nobody else can have held the lock
    assert not guard.lost and guard.remaining_seconds == 30


async def test_renewing_may_change_the_time_to_live(call_twin: CallTwin, raw_redis: redis.Redis) -> None:
    guard = await call_twin(LockManager("acme").try_lock, "x", 30)
    assert await call_twin(guard.renew, 90)
    assert 89_000 < raw_redis.pttl(lock_keys("acme", "x").lock) <= 90_000  # type: ignore[operator]
    with pytest.raises(InvalidNumber):
        await call_twin(guard.renew, 0)


async def test_a_block_on_a_lost_lock_ends_with_lock_lost(
    call_twin: CallTwin, raw_redis: redis.Redis
) -> None:
    with pytest.raises(LockLost, match="auto_renew"):
        async with await call_twin(LockManager("acme").try_lock, "x", 60):
            raw_redis.flushdb()
    with pytest.raises(LockLost), LockManager("acme").lock("x", 60):
        raw_redis.flushdb()


async def test_an_error_in_the_block_goes_before_a_lost_lock(raw_redis: redis.Redis) -> None:
    with pytest.raises(ZeroDivisionError), LockManager("acme").lock("x", 60):
        raw_redis.flushdb()
        _ = 1 / 0


def test_a_block_that_ends_during_an_outage_keeps_its_result(own_redis: RedisServer) -> None:
    with LockManager("acme").lock("x", 60) as guard:
        own_redis.kill()
    assert not guard.lost


async def test_a_release_wakes_a_waiter_without_polling(
    call_twin: CallTwin, count_round_trips: CountRoundTrips, raw_redis: redis.Redis
) -> None:
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


async def test_a_cancelled_release_still_releases(loop_clients: None, lossy_redis: LossyProxy) -> None:
    locks = LockManager("acme")
    guard = await locks.atry_lock("x", 60)
    assert guard is not None
    lossy_redis.hold_replies()
    sent = len(lossy_redis.requests)
    releasing = asyncio.ensure_future(guard.arelease())
    await await_until(lambda: len(lossy_redis.requests) > sent)
    releasing.cancel()
    lossy_redis.let_replies_go()
    with pytest.raises(asyncio.CancelledError):
        await releasing
    assert not guard.lost and await locks.aholder("x") is None


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


async def test_a_worker_whose_clock_jumps_neither_loses_nor_keeps_a_lock(call_twin: CallTwin) -> None:
    locks = LockManager("acme")
    guard = await call_twin(locks.try_lock, "x", 60)
    for hours in (1, -2):
        with time_machine.travel(datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=hours)):
            assert not guard.lost and 55 < guard.remaining_seconds <= 60
            assert await call_twin(locks.try_lock, "x", 60) is None
            assert await call_twin(guard.renew)
    assert await call_twin(guard.release)
    later = await call_twin(locks.try_lock, "x", 60)
    assert later.fence > guard.fence
