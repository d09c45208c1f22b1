from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis

from pleme_redis_django import LockBusy, LockManager
from pleme_redis_django.exceptions import InvalidNumber
from pleme_redis_django.redis_state.server.keyspace import lock_keys
from tests.redis_state.conftest import CallTwin
from tests.redis_state.lossy_proxy import LossyProxy
from tests.round_trips import count_round_trips
from tests.waiting import await_until


async def test_as_many_hold_it_as_there_are_permits(call_twin: CallTwin) -> None:
    semaphore = LockManager("acme").semaphore("gpu", 3, 60)
    permits = [await call_twin(semaphore.try_acquire) for _ in range(4)]
    assert [permit is not None for permit in permits] == [True, True, True, False]
    assert await call_twin(permits[0].release)
    assert await call_twin(semaphore.try_acquire) is not None


async def test_each_operation_is_one_round_trip(call_twin: CallTwin) -> None:
    semaphore = LockManager("acme").semaphore("gpu", 3, 60)
    warm = await call_twin(semaphore.acquire)
    await call_twin(warm.renew)
    await call_twin(warm.release)
    with count_round_trips() as calls:
        permit = await call_twin(semaphore.acquire)
        await call_twin(permit.renew)
        await call_twin(permit.release)
    assert (calls.of("evalsha"), calls.of("eval"), calls.of("blpop")) == (3, 0, 0)


async def test_a_returned_permit_wakes_a_waiter(call_twin: CallTwin, raw_redis: redis.Redis) -> None:
    semaphore = LockManager("acme").semaphore("gpu", 1, 60, 30)
    holder = await call_twin(semaphore.acquire)
    waiting = asyncio.ensure_future(call_twin(semaphore.acquire))
    await await_until(lambda: raw_redis.info("clients")["blocked_clients"] == 1)
    await call_twin(holder.release)
    assert await call_twin((await waiting).release)


async def test_a_permit_expires_by_the_servers_clock(call_twin: CallTwin) -> None:
    locks = LockManager("acme")
    abandoned = await call_twin(locks.semaphore("gpu", 1, 0.05).acquire)
    permit = await call_twin(locks.semaphore("gpu", 1, 60, 10).acquire)
    assert await call_twin(abandoned.renew) is False
    assert await call_twin(abandoned.release) is False
    assert await call_twin(permit.renew)


async def test_waiting_in_vain_names_who_is_next_to_go(call_twin: CallTwin) -> None:
    locks = LockManager("acme")
    await call_twin(locks.semaphore("gpu", 1, 60).acquire)
    with pytest.raises(LockBusy, match="held by process") as caught:
        await call_twin(locks.semaphore("gpu", 1, 60, 0).acquire)
    assert 59 < caught.value.remaining_seconds <= 60


async def test_a_lost_reply_costs_no_permit(call_twin: CallTwin, lossy_redis: LossyProxy) -> None:
    semaphore = LockManager("acme").semaphore("gpu", 2, 60)
    await call_twin((await call_twin(semaphore.acquire)).release)
    lossy_redis.lose_replies(b"EVALSHA")
    assert await call_twin(semaphore.try_acquire) is not None
    assert await call_twin(semaphore.try_acquire) is not None
    assert await call_twin(semaphore.try_acquire) is None


async def test_nothing_is_left_when_the_last_permit_expired(
    call_twin: CallTwin, raw_redis: redis.Redis
) -> None:
    await call_twin(LockManager("acme").semaphore("gpu", 2, 0.05).acquire)
    key = lock_keys("acme", "gpu").semaphore
    await await_until(lambda: not raw_redis.exists(key))


@pytest.mark.parametrize("limit", [0, -1, 100_001, True, 1.5, "3", None])
def test_a_limit_that_is_none_is_refused(limit: Any) -> None:
    with pytest.raises(InvalidNumber, match="limit is"):
        LockManager("acme").semaphore("gpu", limit, 60)
