"""What the Redis user has to be allowed: no more than the guide says, and less is told by the check."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import redis

from pleme_redis_django.checks.redis_server import check_redis_server
from pleme_redis_django.redis_state.locks import LockManager
from pleme_redis_django.redis_state.presence.manager import PresenceManager
from pleme_redis_django.redis_state.pubsub.manager import PubSubManager
from pleme_redis_django.redis_state.server.connections import close_sync_clients
from pleme_redis_django.redis_state.wakeups.job_queue import JobQueue
from pleme_redis_django.testing.servers import RedisServer

DOCUMENTED = ["~pl:*", "resetchannels", "&pl:*", "+@all", "-@admin", "-@dangerous", "+info"]
WITHOUT_INFO = [*DOCUMENTED, "-info"]
WITHOUT_CHANNELS = [*DOCUMENTED, "resetchannels"]

AsUser = Callable[[list[str]], None]


@pytest.fixture
def as_user(own_redis: RedisServer, settings: Any) -> AsUser:
    """Point the settings at a user with these rights and no others."""

    def become(rights: list[str]) -> None:
        with redis.Redis.from_url(own_redis.url()) as client:
            client.execute_command("ACL", "SETUSER", "app", "reset", "on", ">secret", *rights)
        url = own_redis.url().replace("unix://", "unix://app:secret@")
        settings.PLEME_REDIS = {**settings.PLEME_REDIS, "URL": url}
        close_sync_clients()

    return become


@pytest.mark.parametrize("rights", [DOCUMENTED, WITHOUT_INFO], ids=["documented", "without INFO"])
async def test_documented_rights_are_enough(rights: list[str], as_user: AsUser, loop_clients: None) -> None:
    as_user(rights)
    manager = PubSubManager("acme")
    async with manager.asubscribe("order:*") as events:
        await manager.apublish("order:1", {"n": 1})
        assert (await anext(events)).data == {"n": 1}
    async with LockManager("acme").lock("x", 5):
        pass
    await asyncio.to_thread(LockManager("acme").held_locks)
    await PresenceManager("acme").aset_online(1)
    await asyncio.to_thread(JobQueue("email").dequeue, 0.01)
    assert await asyncio.to_thread(JobQueue("email").stats)


@pytest.mark.parametrize(
    ("rights", "named"),
    [
        (DOCUMENTED, None),
        (WITHOUT_INFO, "INFO"),
        (WITHOUT_CHANNELS, "PUBLISH to channels pl:*; SUBSCRIBE to channels pl:*"),
        (["~other:*", "resetchannels", "&pl:*", "+@all"], "scripts that write keys"),
    ],
)
def test_check_names_the_rights_that_are_missing(
    rights: list[str], named: str | None, as_user: AsUser
) -> None:
    as_user(rights)
    found = list(check_redis_server())
    if named is None:
        assert found == []
        return
    [message] = found
    assert message.id == "pleme_redis_django.W060"
    assert named in message.msg
    assert "secret" not in message.msg
