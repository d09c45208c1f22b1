from __future__ import annotations

import datetime
from importlib import resources
from typing import Any
from uuid import uuid4

import pytest
import redis
from redis.crc import key_slot

from pleme_redis_django import (
    CacheManager,
    JobQueue,
    LockManager,
    PresenceManager,
    PubSubManager,
    QueuedJob,
    TypingManager,
)
from pleme_redis_django.redis_state.locks.claims import LockClaim, PermitClaim
from pleme_redis_django.redis_state.presence.sweep import PresenceSweeper, sweep_product
from pleme_redis_django.redis_state.server.connections import close_sync_clients
from pleme_redis_django.redis_state.server.flows import run
from pleme_redis_django.redis_state.server.keyspace import presence_due, presence_keys
from pleme_redis_django.redis_state.server.scripts import script
from pleme_redis_django.redis_state.wakeups.breaker import hint_breaker
from pleme_redis_django.redis_state.wakeups.unique_slots import take_slot
from pleme_redis_django.testing.servers import RedisServer
from tests.redis_state.conftest import CallTwin
from tests.waiting import await_until

LUA = resources.files("pleme_redis_django.redis_state").joinpath("lua")
SCRIPTS = sorted(path.name.removesuffix(".lua") for path in LUA.iterdir() if path.name.endswith(".lua"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_names_its_keys_arguments_and_reply(name: str) -> None:
    source = script(name).source
    assert "include:" not in source
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
            _evalsha, _sha, key_count, *rest = call.command
            assert len({key_slot(key.encode()) for key in (*rest[:key_count], claim.wake_key)}) == 1


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


# Run by realtime/presence_keeper.py, over the presence of one product.
OF_THE_PRESENCE_KEEPER = {"presence_beat"}


def use_every_script(product: str, name: str) -> None:
    """Call what runs each script; the names are of the kind that moves a key to another slot."""
    locks, cache = LockManager(product), CacheManager(product)
    guard = locks.lock(name, 60).acquire()
    guard.renew()
    guard.release()
    locks.holder(name)
    locks.force_release(name, by="test", reason="")
    with locks.semaphore(name, 2, 60).acquire() as permit:
        permit.renew()
    LockClaim(product, name).void().run()
    cache.set(name, 1, 60)
    cache.incr(name)
    cache.set_many({name: 1, "other": 2}, 60, tags=[name, "tag"])
    cache.get_or_set(f"{name} built", lambda: 1, 60, tags=[name, "tag"])
    hint_breaker.reset()
    take_slot(product, name, uuid4())
    presence = PresenceManager(product)
    presence.set_online("user", "connection")
    presence.is_online("user")
    presence.are_online(["user"])
    presence.get_online_users()
    presence.last_seen("user")
    presence.snapshot()
    PresenceSweeper(name).step()
    run(sweep_product(product))
    pubsub = PubSubManager(product)
    pubsub.publish("order:created", {})
    pubsub.history("order:created")
    typing = TypingManager(product)
    typing.set_typing("conversation", "user")
    typing.get_typing_users("conversation")
    now = datetime.datetime.now(datetime.UTC)
    hint = QueuedJob(
        job_id=uuid4(), product=product, job_type=name, retry_count=0, max_retries=0, enqueued_at=now
    )
    hint_breaker.reset()  # a busy machine may have been too slow for the first hint
    JobQueue("default").enqueue(hint)


@pytest.mark.parametrize("name", ["x", "{x}", "}{", "a}:{b"])
def test_the_keys_of_every_script_share_a_cluster_slot(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    names, ran = {script(each).sha: each for each in SCRIPTS}, set()
    execute_command = redis.Redis.execute_command

    def recorded(self: redis.Redis, *command: Any, **options: Any) -> Any:
        if command[0] == "EVALSHA":
            _, sha, key_count, *rest = command
            keys = [str(key) for key in rest[:key_count]]
            assert len({key_slot(key.encode()) for key in keys}) == 1, f"{names[sha]}: {keys}"
            ran.add(names[sha])
        return execute_command(self, *command, **options)

    monkeypatch.setattr(redis.Redis, "execute_command", recorded)
    use_every_script("acme", name)
    assert set(SCRIPTS) - ran == OF_THE_PRESENCE_KEEPER
    presence = (*presence_keys("acme", name), *presence_keys("acme", ""), presence_due("acme"))
    assert len({key_slot(key.encode()) for key in presence}) == 1
