from __future__ import annotations

import asyncio
import dataclasses
import signal
from typing import Any

import pytest
import redis

from pleme_redis_django import LockManager
from pleme_redis_django.exceptions import RedisUnavailable
from pleme_redis_django.redis_state.locks import claims
from pleme_redis_django.redis_state.locks.acquisition import Acquisition
from pleme_redis_django.redis_state.server.connections import LOCKS
from pleme_redis_django.redis_state.server.keyspace import lock_keys
from pleme_redis_django.testing.servers import RedisServer
from tests.redis_state.conftest import CallTwin
from tests.redis_state.lossy_proxy import LossyProxy
from tests.waiting import await_until


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "LOCKS", dataclasses.replace(LOCKS, read_timeout_seconds=1))


@pytest.mark.parametrize("kind", ["lock", "permit"])
async def test_what_a_redis_that_hung_takes_too_late_is_given_back(
    call_twin: CallTwin, own_redis: RedisServer, kind: str
) -> None:
    locks = LockManager("acme")
    taking = locks.lock("x", 60) if kind == "lock" else locks.semaphore("x", 1, 60)
    await call_twin((await call_twin(taking.try_acquire)).release)
    await _let_hang(own_redis, call_twin, taking)
    for _ in range(2):
        guard = await call_twin(taking.try_acquire)
        assert guard is not None
        assert await call_twin(guard.release)


async def test_a_redis_that_refuses_to_give_back_still_grants_other_locks(
    call_twin: CallTwin, own_redis: RedisServer
) -> None:
    taking, other = (LockManager("acme").lock(name, 60) for name in "xy")
    await call_twin((await call_twin(taking.try_acquire)).release)
    await _let_hang(own_redis, call_twin, taking)
    with redis.Redis.from_url(own_redis.url()) as client:
        client.execute_command("ACL", "SETUSER", "default", "-sadd")
        assert await call_twin(other.try_acquire) is not None
        client.execute_command("ACL", "SETUSER", "default", "+sadd")
    assert await call_twin(taking.try_acquire) is not None


async def test_what_a_cancelled_acquire_could_not_free_is_given_back(
    loop_clients: None, lossy_redis: LossyProxy
) -> None:
    taking = LockManager("acme").lock("x", 60)
    warm = await taking.aacquire()
    await warm.arelease()
    lossy_redis.hold_replies()
    lossy_redis.requests.clear()
    attempt = asyncio.ensure_future(taking.atry_acquire())
    await await_until(lambda: lossy_redis.requests)
    attempt.cancel()
    await asyncio.wait({attempt})
    lossy_redis.let_replies_go()
    assert attempt.cancelled()
    assert await taking.atry_acquire() is not None


async def _let_hang(server: RedisServer, call_twin: CallTwin, taking: Acquisition[Any]) -> None:
    """Let a server grant a lock or a permit only after its caller has given up."""
    server.send_signal(signal.SIGSTOP)
    with pytest.raises(RedisUnavailable):
        await call_twin(taking.try_acquire)
    server.send_signal(signal.SIGCONT)
    keys = lock_keys("acme", "x")
    with redis.Redis.from_url(server.url()) as client:
        await await_until(lambda: client.exists(keys.lock, keys.semaphore))
