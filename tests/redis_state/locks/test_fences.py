from __future__ import annotations

import datetime

import redis

from pleme_redis_django import LockManager
from pleme_redis_django.redis_state.locks.claims import LockClaim
from pleme_redis_django.redis_state.server.keyspace import lock_keys
from tests.redis_state.conftest import CallTwin


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
