from __future__ import annotations

import gc
import logging

import pytest
import redis

from pleme_redis_django import LockManager
from pleme_redis_django.testing.servers import RedisServer
from tests.redis_state.conftest import CallTwin
from tests.round_trips import count_round_trips
from tests.waiting import await_until

TTL = 0.3


async def test_a_renewed_lock_outlives_its_time_to_live(call_twin: CallTwin) -> None:
    locks = LockManager("acme")
    with count_round_trips() as calls:
        guard = await call_twin(locks.try_lock, "x", TTL, auto_renew=True)
        await await_until(lambda: calls.of("evalsha") >= 8)  # seven renewals: more than two lives
    assert not guard.lost
    assert await call_twin(locks.try_lock, "x", 60) is None
    assert await call_twin(guard.release)


async def test_a_released_lock_is_not_renewed_again(call_twin: CallTwin) -> None:
    locks = LockManager("acme")
    guard = await call_twin(locks.try_lock, "x", TTL, auto_renew=True)
    assert await call_twin(guard.release)
    assert guard._renewal is None
    next_holder = await call_twin(locks.try_lock, "x", 60)
    assert next_holder is not None and not guard.lost


async def test_a_renewal_notices_that_redis_forgot_the_lock(
    call_twin: CallTwin, raw_redis: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    guard = await call_twin(LockManager("acme").try_lock, "x", TTL, auto_renew=True)
    raw_redis.flushdb()
    await await_until(lambda: guard._lost)
    assert guard.lost
    await await_until(lambda: "was lost while it was being renewed" in caplog.text)


async def test_a_forgotten_guard_is_not_renewed_for_ever(call_twin: CallTwin) -> None:
    locks = LockManager("acme")
    guard = await call_twin(locks.try_lock, "x", TTL, auto_renew=True)
    del guard
    gc.collect()
    assert await call_twin(locks.lock("x", 60, 10).acquire)


async def test_renewals_ride_out_an_outage_and_the_deadline_says_lost(
    call_twin: CallTwin, own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    locks = LockManager("acme")
    guard = await call_twin(locks.try_lock, "x", TTL, auto_renew=True)
    own_redis.kill()
    await await_until(lambda: guard.lost)
    await await_until(lambda: "could not be renewed" in caplog.text)
    own_redis.start()
    await await_until(lambda: guard._lost)  # asked again, and answered: not yours
    assert await call_twin(locks.try_lock, "x", 60) is not None
