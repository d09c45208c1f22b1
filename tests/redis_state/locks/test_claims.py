from __future__ import annotations

import datetime

import redis

from pleme_redis_django import LockManager
from pleme_redis_django.redis_state.locks.claims import LockClaim
from pleme_redis_django.redis_state.server.keyspace import lock_keys
from pleme_redis_django.testing.servers import RedisServer
from tests.redis_state.conftest import CallTwin
from tests.redis_state.lossy_proxy import LossyProxy


def test_fences_of_a_lock_taken_all_the_time_grow_after_redis_forgot_the_last_one(
    raw_redis: redis.Redis,
) -> None:
    locks = LockManager("acme")
    with locks.lock("x", 60) as first:
        pass
    fences = [first.fence]
    pipeline = raw_redis.pipeline(transaction=False)  # more often than once a millisecond
    for _ in range(5_000):
        claim = LockClaim("acme", "x")
        for call in (claim.acquire(60_000, will_wait=False), claim.release()):
            pipeline.execute_command(*call.command)
    fences += [int(fence) for _granted, fence in pipeline.execute()[::2]]
    raw_redis.delete(lock_keys("acme", "x").fence)
    with locks.lock("x", 60) as after:
        fences.append(after.fence)
    assert fences == sorted(set(fences))


async def test_all_digits_of_a_fence_are_kept_everywhere(call_twin: CallTwin, raw_redis: redis.Redis) -> None:
    locks, keys = LockManager("acme"), lock_keys("acme", "x")
    raw_redis.set(keys.fence, 7_890_123_456_789_012)
    guard = await call_twin(locks.try_lock, "x", 60)
    assert guard.fence == 7_890_123_456_789_013
    assert raw_redis.get(keys.fence) == b"7890123456789013"
    [held] = await call_twin(locks.held_locks)
    assert held.fence == guard.fence
    assert abs(held.since - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(minutes=5)
    taken = await call_twin(locks.force_release, held, by="ops", reason="test")
    assert taken.fence == guard.fence


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
