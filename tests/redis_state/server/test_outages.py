"""A Redis that answers and does not do its work: every path takes it for an outage, as a dead one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.contrib.auth import get_user_model
from django.db import transaction

from pleme_redis_django import CacheManager
from pleme_redis_django.exceptions import RedisUnavailable
from pleme_redis_django.redis_state.locks import LockManager
from pleme_redis_django.redis_state.presence.manager import PresenceManager
from pleme_redis_django.redis_state.presence.typing_indicators import TypingManager
from pleme_redis_django.redis_state.pubsub.manager import PubSubManager
from pleme_redis_django.redis_state.pubsub.publishing import publish_pause
from pleme_redis_django.redis_state.server.connections import close_sync_clients
from pleme_redis_django.redis_state.wakeups.breaker import hint_breaker
from pleme_redis_django.redis_state.wakeups.job_queue import JobQueue
from pleme_redis_django.redis_state.wakeups.unique_slots import note_slot, take_slot
from pleme_redis_django.testing.servers import RedisServer
from tests.redis_state.lossy_proxy import LossyProxy
from tests.waiting import wait_until

Spoil = Callable[[redis.Redis], object]


def is_replica(client: redis.Redis) -> None:
    client.replicaof("127.0.0.1", "1")


def is_full(client: redis.Redis) -> None:
    client.config_set("maxmemory", "1")


def has_no_disk(client: redis.Redis) -> None:
    """Make a background save fail, and with it every write: a folder is in the file's way."""
    folder = Path(str(client.config_get("dir")["dir"]))
    (folder / "dump.rdb").mkdir()
    client.config_set("save", "3600 1")
    client.set("something", "to save")
    client.bgsave()
    wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")


def lacks_replicas(client: redis.Redis) -> None:
    client.config_set("min-replicas-to-write", "1")


def forbids_writes(client: redis.Redis) -> None:
    client.execute_command("ACL", "SETUSER", "default", "resetchannels", "-@write", "-publish", "-subscribe")


@pytest.fixture(
    params=[is_replica, is_full, has_no_disk, lacks_replicas, forbids_writes], ids=lambda each: each.__name__
)
def refusing_redis(request: pytest.FixtureRequest, own_redis: RedisServer, settings: Any) -> Iterator[None]:
    with redis.Redis.from_url(own_redis.url()) as client:
        request.param(client)
    cache = {**settings.CACHES["default"], "LOCATION": own_redis.url(1)}
    settings.CACHES = {**settings.CACHES, "refusing": cache}
    hint_breaker.reset()
    yield
    hint_breaker.reset()
    with redis.Redis.from_url(own_redis.url()) as client:
        client.config_set("save", "")  # or it would not end


async def test_every_write_says_that_redis_is_unavailable(refusing_redis: None, loop_clients: None) -> None:
    writes: dict[str, Callable[[], Any]] = {
        "lock": lambda: LockManager("acme").lock("x", 5).try_acquire(),
        "semaphore": lambda: LockManager("acme").semaphore("x", 2, 5).try_acquire(),
        "presence": lambda: PresenceManager("acme").set_online(1),
        "typing": lambda: TypingManager("acme").set_typing("room:1", 1),
        "publish": lambda: PubSubManager("acme").publish("room:1", {}, on_commit=False),
        "cache": lambda: CacheManager("acme", alias="refusing").flush_product(),
    }
    refused = set()
    for name, write in writes.items():
        with suppress(RedisUnavailable):
            await asyncio.to_thread(write)
            continue
        refused.add(name)
    # A full server lets a script end that has removed something before; nothing else may be raised.
    assert refused >= {"lock", "publish", "cache"}
    with pytest.raises(RedisUnavailable):
        await LockManager("acme").lock("x", 5).atry_acquire()
    with pytest.raises(RedisUnavailable):
        await PubSubManager("acme").apublish("room:1", {})


def test_hints_and_unique_slots_do_without(refusing_redis: None) -> None:
    assert take_slot("acme", "slot", uuid4()) is None
    hint_breaker.reset()
    note_slot("acme", "slot", uuid4())
    hint_breaker.reset()
    JobQueue("email").nudge()


def test_cache_does_without(refusing_redis: None) -> None:
    cache = CacheManager("acme", alias="refusing")
    assert cache.set("k", 1, 60) is False
    assert cache.set_many({"k": 1}, 60) is False
    assert cache.get_or_set("k", lambda: 2, 60) == 2


@pytest.mark.django_db(transaction=True)
def test_what_is_published_or_saved_inside_a_transaction_raises_nothing(refusing_redis: None) -> None:
    later: list[str] = []
    with transaction.atomic():
        user = get_user_model().objects.create_user("ann")
        user.first_name = "Ann"
        user.save()
        PubSubManager("acme").publish("room:1", {})
        transaction.on_commit(lambda: later.append("ran"))
    user.delete()
    assert later == ["ran"]


@pytest.mark.django_db(transaction=True)
def test_second_publish_to_a_redis_that_hangs_does_not_wait(lossy_redis: LossyProxy) -> None:
    manager = PubSubManager("acme")
    manager.publish("room:1", {})
    lossy_redis.hold_replies()
    with transaction.atomic():
        manager.publish("room:1", {})  # waits for its timeout, after the commit
    asked = len(lossy_redis.requests)
    with transaction.atomic():
        manager.publish("room:1", {})
    with pytest.raises(RedisUnavailable, match="a moment ago"):
        manager.publish("room:1", {})
    assert len(lossy_redis.requests) == asked
    lossy_redis.let_replies_go()
    publish_pause.reset()
    close_sync_clients()
    assert manager.publish("room:1", {}) is not None
