from __future__ import annotations

import asyncio
import datetime

import pytest
import redis
import time_machine

from pleme_redis_django import LockLost, LockManager
from pleme_redis_django.exceptions import InvalidNumber
from pleme_redis_django.redis_state.server.keyspace import lock_keys
from pleme_redis_django.testing.servers import RedisServer
from tests.redis_state.conftest import CallTwin
from tests.redis_state.lossy_proxy import LossyProxy
from tests.round_trips import count_round_trips
from tests.waiting import await_until


class HandClock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


async def test_a_second_release_sends_nothing_and_says_the_same(call_twin: CallTwin) -> None:
    guard = await call_twin(LockManager("acme").try_lock, "x", 60)
    await call_twin(guard.release)
    with count_round_trips() as calls:
        assert await call_twin(guard.release) is True
    assert calls.of("evalsha") == 0
    assert guard.remaining_seconds == 0 and not guard.lost


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
    assert 89_000 < raw_redis.pttl(lock_keys("acme", "x").lock) <= 90_000
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
