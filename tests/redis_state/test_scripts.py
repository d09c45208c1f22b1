from __future__ import annotations

from importlib import resources
from typing import Any

import pytest
import redis
from redis.crc import key_slot

from pleme_redis_django import LockManager
from pleme_redis_django.redis_state.connections import close_sync_clients
from pleme_redis_django.redis_state.locks.claims import LockClaim, PermitClaim
from pleme_redis_django.redis_state.scripts import script
from pleme_redis_django.testing.servers import RedisServer
from tests.redis_state.conftest import CallTwin
from tests.waiting import await_until

LUA = resources.files("pleme_redis_django.redis_state").joinpath("lua")
SCRIPTS = sorted(path.name.removesuffix(".lua") for path in LUA.iterdir() if path.name.endswith(".lua"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_names_its_keys_arguments_and_reply(name: str) -> None:
    source = script(name).source
    header = "\n".join(line for line in source.splitlines() if line.startswith("--"))
    assert "-- Returns " in header
    for kind in ("KEYS", "ARGV"):
        assert (f"{kind}[" in source) <= (f"-- {kind} " in header), kind


async def test_a_server_that_lost_its_scripts_gets_them_again(
    call_twin: CallTwin, raw_redis: redis.Redis
) -> None:
    locks = LockManager("acme")
    guard = await call_twin(locks.try_lock, "x", 60)
    raw_redis.script_flush()
    assert await call_twin(guard.renew)
    raw_redis.script_flush()
    assert await call_twin(guard.release)


@pytest.mark.parametrize("product", ["a", "acme-2"])
@pytest.mark.parametrize("name", ["order:1", "{x}", "}{", "*", ""])
def test_the_keys_of_one_lock_script_share_a_cluster_slot(product: str, name: str) -> None:
    for claim in (LockClaim(product, name), PermitClaim(product, name, 3)):
        for call in (claim.acquire(1000, will_wait=True), claim.renew(1000), claim.release(), claim.void()):
            assert len({key_slot(key.encode()) for key in (*call.keys, claim.wake_key)}) == 1


async def test_locks_work_on_a_cluster_node(call_twin: CallTwin, settings: Any) -> None:
    with RedisServer(settings={"cluster-enabled": "yes"}) as server:
        with redis.Redis.from_url(server.url()) as client:
            client.execute_command("CLUSTER ADDSLOTS", *range(16384))
            await await_until(lambda: b"cluster_state:ok" in client.execute_command("CLUSTER", "INFO"))
        settings.PLEME_REDIS = {"URL": server.url()}
        locks = LockManager("acme")
        guard = await call_twin(locks.lock("x", 60).acquire)
        assert await call_twin(guard.renew) and await call_twin(guard.release)
        permit = await call_twin(locks.semaphore("x", 2, 60).acquire)
        assert await call_twin(permit.renew) and await call_twin(permit.release)
        await call_twin(locks.try_lock, "x", 60)
        [held] = await call_twin(locks.held_locks)
        assert (await call_twin(locks.force_release, held, by="ops", reason="")).fence == held.fence
        close_sync_clients()
