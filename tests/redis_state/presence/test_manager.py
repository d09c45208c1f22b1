from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pleme_redis_django.conf import get_settings
from pleme_redis_django.exceptions import (
    InvalidEvent,
    InvalidName,
    InvalidProduct,
    PresenceRefused,
    RedisUnavailable,
)
from pleme_redis_django.redis_state.presence.manager import PresenceLimits, PresenceManager
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.redis_call import redis_client
from pleme_redis_django.redis_state.server.scripts import script
from pleme_redis_django.signals import user_idle, user_offline, user_online
from pleme_redis_django.testing.servers import RedisServer
from tests.round_trips import count_round_trips
from tests.twins import Twin

Wrap = Callable[[Any], Twin]


@pytest.fixture
def presence(twin: Wrap) -> Twin:
    return twin(PresenceManager("acme"))


@pytest.fixture
def events() -> Iterator[list[dict[str, Any]]]:
    """What the bus of room:1, and of the product, was told, decoded; filled when read."""
    with redis_client().pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.psubscribe("pl:*:bus")
        pubsub.get_message(timeout=1)

        class Heard(list[dict[str, Any]]):
            def read(self) -> list[dict[str, Any]]:
                while message := pubsub.get_message(timeout=0.05):
                    self.append(json.loads(message["data"].partition(b"\n")[2])["pres"])
                return self

        yield Heard()


@pytest.fixture
def signals() -> Iterator[list[tuple[Any, ...]]]:
    heard: list[tuple[Any, ...]] = []

    def online(product: str, user_id: str, **_: Any) -> None:
        heard.append(("online", product, user_id))

    def offline(product: str, user_id: str, **_: Any) -> None:
        heard.append(("offline", product, user_id))

    def idle(product: str, user_id: str, idle: bool, **_: Any) -> None:
        heard.append(("idle" if idle else "active", product, user_id))

    pairs = [(user_online, online), (user_offline, offline), (user_idle, idle)]
    for signal, receiver in pairs:
        signal.connect(receiver)
    yield heard
    for signal, receiver in pairs:
        signal.disconnect(receiver)


def expire(manager: PresenceManager, *connections: str) -> None:
    """Let connections be over since a second, as the server's clock would."""
    seconds, micros = redis_client().time()
    past = seconds * 1000 + micros // 1000 - 1000
    redis_client().zadd(manager.keys.connections, dict.fromkeys(connections, past))
    users = {redis_client().hget(manager.keys.records, c).partition(b"\n")[0][1:] for c in connections}
    redis_client().zadd(manager.keys.expiries, dict.fromkeys(users, past))


async def test_product_is_known_to_sweepers_after_a_join_that_failed(
    presence: Twin, own_redis: RedisServer
) -> None:
    own_redis.kill()
    with pytest.raises(RedisUnavailable):
        await presence.set_online(42, "tab1")
    own_redis.start()
    await presence.set_online(42, "tab1")
    assert redis_client().zrange(keyspace.presence_products(), 0, -1) == [b"acme"]


async def test_user_is_online_while_one_connection_lives(presence: Twin) -> None:
    await presence.set_online(42, "tab1")
    await presence.set_online(42, "tab2")
    assert await presence.is_online(42)
    await presence.set_offline(42, "tab1")
    assert await presence.is_online("42")
    await presence.set_offline(42, "tab2")
    assert not await presence.is_online(42)


async def test_reads_agree(presence: Twin) -> None:
    for user in (1, 2, 3):
        await presence.set_online(user)
    assert sorted(await presence.get_online_users()) == ["1", "2", "3"]
    assert len(await presence.get_online_users(2, 1)) == 2
    assert await presence.count_online() == 3
    assert await presence.are_online([1, 2, 9]) == {1: True, 2: True, 9: False}
    assert await presence.are_online([]) == {}


async def test_bulk_read_takes_thousands_of_ids(presence: Twin) -> None:
    await presence.set_online(2500)
    online = await presence.are_online(range(1, 3001))
    assert len(online) == 3000
    assert [user for user, flag in online.items() if flag] == [2500]


async def test_expired_connection_is_offline_before_the_sweep(presence: Twin) -> None:
    await presence.set_online(42, "tab1")
    expire(PresenceManager("acme"), "tab1")
    assert not await presence.is_online(42)
    assert await presence.get_online_users() == []
    assert await presence.count_online() == 0
    assert (await presence.snapshot()).users == {}


async def test_first_connection_joins_and_last_one_leaves_once(
    presence: Twin, events: Any, signals: list[tuple[Any, ...]]
) -> None:
    assert await presence.set_online(42, "tab1", {"name": "Ana"})
    assert not await presence.set_online(42, "tab2", {"name": "Ana"})
    assert not await presence.set_offline(42, "tab1")
    assert await presence.set_offline(42, "tab2")
    heard = events.read()
    assert heard[1]["v"] == heard[0]["v"] + 1
    assert heard[0]["join"] == {"42": [{"c": "tab1", "m": {"name": "Ana"}}]}
    assert heard[1]["leave"] == {"42": ["tab2"]}
    assert signals == [("online", "acme", "42"), ("offline", "acme", "42")]


async def test_other_metadata_is_an_update(presence: Twin, events: Any, signals: Any) -> None:
    await presence.set_online(42, "tab1", {"page": 1})
    await presence.set_online(42, "tab1", {"page": 2})
    await presence.set_online(42, "tab1", {"page": 2})
    assert [event["update"] for event in events.read()[1:]] == [{"42": [{"c": "tab1", "m": {"page": 2}}]}]
    assert signals == [("online", "acme", "42")]


async def test_user_is_idle_when_no_connection_is_active(presence: Twin, events: Any, signals: Any) -> None:
    await presence.set_online(42, "tab1")
    await presence.set_online(42, "tab2")
    assert not await presence.set_idle(42, "tab1")
    assert await presence.set_idle(42, "tab2")
    assert (await presence.snapshot()).users == {"42": [{"c": "tab1", "m": {}, "idle": True}]}
    assert await presence.set_idle(42, "tab1", idle=False)
    assert signals == [("online", "acme", "42"), ("idle", "acme", "42"), ("active", "acme", "42")]


async def test_sweep_announces_each_leave_once(presence: Twin, events: Any, signals: Any) -> None:
    for user in (1, 2):
        await presence.set_online(user, f"c{user}")
    expire(PresenceManager("acme"), "c1")
    results = [await presence.sweep() for _ in range(3)]
    assert [len(result.changes) for result in results] == [1, 0, 0]
    assert [event["leave"] for event in events.read() if event["leave"]] == [{"1": ["c1"]}]
    assert signals.count(("offline", "acme", "1")) == 1
    assert await presence.is_online(2)


async def test_sweep_takes_a_hundred_at_a_time(presence: Twin) -> None:
    for user in range(150):
        await presence.set_online(user, f"c{user}")
    expire(PresenceManager("acme"), *(f"c{user}" for user in range(150)))
    assert len((await presence.sweep()).changes) == 100
    assert len((await presence.sweep()).changes) == 50


async def test_reload_within_the_grace_is_unseen(presence: Twin, signals: Any) -> None:
    await presence.set_online(42, "before")
    assert not await presence.set_offline(42, "before", grace_seconds=5)
    assert await presence.is_online(42)
    await presence.set_online(42, "after")
    expire(PresenceManager("acme"), "before")
    await presence.set_online(42, "after")
    assert not await presence.sweep()
    assert signals == [("online", "acme", "42")]


async def test_grace_ends_in_a_leave(presence: Twin) -> None:
    await presence.set_online(42, "tab1")
    await presence.set_offline(42, "tab1", grace_seconds=5)
    manager = PresenceManager("acme")
    left = redis_client().zscore(manager.keys.connections, "tab1")
    seconds, _ = redis_client().time()
    assert left is not None
    assert left / 1000 - seconds < 7
    expire(manager, "tab1")
    assert (await presence.sweep()).changes[0].kind == "offline"


async def test_rooms_are_apart_from_the_product_and_send_no_signal(twin: Wrap, signals: Any) -> None:
    room = twin(PresenceManager("acme", "room:1"))
    await room.set_online(42, "tab1")
    assert await room.is_online(42)
    assert not await twin(PresenceManager("acme", "room:2")).is_online(42)
    assert not await twin(PresenceManager("acme")).is_online(42)
    assert signals == []


async def test_products_share_nothing(twin: Wrap, signals: Any) -> None:
    await twin(PresenceManager("acme")).set_online(42, "tab1")
    other = twin(PresenceManager("acme-2"))
    assert not await other.is_online(42)
    assert await other.get_online_users() == []
    assert not await other.set_offline(42)
    assert await twin(PresenceManager("acme")).is_online(42)


async def test_last_seen(presence: Twin) -> None:
    assert await presence.last_seen(42) is None
    before = datetime.datetime.now(tz=datetime.UTC) - datetime.timedelta(seconds=1)
    await presence.set_online(42, "tab1")
    assert await presence.last_seen(42) >= before
    await presence.set_offline(42)
    seen = await presence.last_seen(42)
    assert before <= seen <= datetime.datetime.now(tz=datetime.UTC)


async def test_crashed_user_was_last_seen_at_the_last_heartbeat(presence: Twin) -> None:
    manager = PresenceManager("acme")
    await presence.set_online(42, "tab1")
    redis_client().delete("pl:{acme}:presence:last-seen")
    expire(manager, "tab1")
    await presence.sweep()
    age = datetime.datetime.now(tz=datetime.UTC) - await presence.last_seen(42)
    ttl = get_settings().presence_ttl_seconds
    assert datetime.timedelta(seconds=ttl) <= age < datetime.timedelta(seconds=ttl + 10)


async def test_snapshot_pages_hold_everyone(presence: Twin) -> None:
    for user in range(1200):
        await presence.set_online(user, f"c{user}", {"n": user})
    seen: dict[str, Any] = {}
    cursor, pages = None, 0
    while pages == 0 or cursor:
        page = await presence.snapshot(cursor, limit=100)
        seen.update(page.users)
        cursor, pages = page.cursor, pages + 1
    assert len(seen) == 1200
    assert seen["7"] == [{"c": "c7", "m": {"n": 7}}]
    assert pages > 5


async def test_limits_are_refused(twin: Wrap, presence: Twin) -> None:
    limited = twin(PresenceManager("acme", limits=PresenceLimits(connections_per_user=2, users=1)))
    await limited.set_online(1, "a")
    await limited.set_online(1, "b")
    with pytest.raises(PresenceRefused) as refused:
        await limited.set_online(1, "c")
    assert refused.value.reason == "user limit"
    with pytest.raises(PresenceRefused) as refused:
        await limited.set_online(2, "d")
    assert refused.value.reason == "scope limit"
    with pytest.raises(PresenceRefused) as refused:
        await presence.set_online(3, "a")
    assert refused.value.reason == "taken"


async def test_another_users_connection_is_out_of_reach(presence: Twin) -> None:
    await presence.set_online(1, "a")
    assert not await presence.set_offline(2, "a")
    assert not await presence.set_idle(2, "a")
    assert await presence.is_online(1)


@pytest.mark.parametrize("user", [None, "", "a b", "a\nb", "\u0000", "x" * 129, "\ud800"])
async def test_hostile_user_ids_are_refused(presence: Twin, user: Any) -> None:
    with pytest.raises(InvalidName):
        await presence.set_online(user)
    with pytest.raises(InvalidName):
        await presence.is_online(user)


@pytest.mark.parametrize("user", ['"', "\\", "{x}", "*", "a:b", "ü", "\u202eabc", "\u2028x"[1:]])
async def test_odd_user_ids_are_kept_exactly(presence: Twin, events: Any, user: str) -> None:
    await presence.set_online(user, "tab1")
    assert await presence.get_online_users() == [user]
    assert list((await presence.snapshot()).users) == [user]
    assert list(events.read()[0]["join"]) == [user]


@pytest.mark.parametrize("metadata", [{"x": "y" * 2000}, {"x": float("nan")}, {"x": object()}])
async def test_bad_metadata_is_refused(presence: Twin, metadata: Any) -> None:
    with pytest.raises(InvalidEvent):
        await presence.set_online(1, "a", metadata)


@pytest.mark.parametrize("room", ["", "*", "a*", "a:*", "a\n", "@x", "x" * 201, "a::b", ":a", "{x}"])
def test_hostile_rooms_are_refused(room: str) -> None:
    with pytest.raises(InvalidName):
        PresenceManager("acme", room)


@pytest.mark.parametrize("product", ["Acme", "a:b", "*", "a\n", "{x}", "-a"])
def test_hostile_products_are_refused(product: str) -> None:
    with pytest.raises(InvalidProduct):
        PresenceManager(product)


async def test_every_key_expires_and_lies_in_one_slot(presence: Twin) -> None:
    await presence.set_online(42, "tab1")
    await presence.set_idle(42, "tab1")
    keys = set(redis_client().keys("pl:{acme}:*"))
    last_seen = b"pl:{acme}:presence:last-seen"
    assert 0 < redis_client().ttl(last_seen) <= get_settings().last_seen_seconds
    assert len(keys) == 7
    assert all(0 < redis_client().pttl(key) <= 24 * 3600 * 1000 for key in keys - {last_seen})


async def test_last_seen_forgets_without_a_socket(presence: Twin) -> None:
    redis_client().zadd("pl:{acme}:presence:last-seen", {"old": 1})
    await presence.set_online(42, "tab1")
    assert redis_client().zrange("pl:{acme}:presence:last-seen", 0, -1) == [b"42"]


async def test_version_that_was_lost_is_seen_to_be_another(presence: Twin, events: Any) -> None:
    for user in range(5):
        await presence.set_online(user, f"tab{user}")
    watched = (await presence.snapshot()).version
    for lose in (lambda: redis_client().delete(PresenceManager("acme").keys.version), redis_client().flushdb):
        lose()
        assert await presence.set_online(42, "another")
        assert events.read()[-1]["v"] > watched + 1
        await presence.set_offline(42)


async def test_emptied_room_leaves_nothing_for_long(twin: Wrap) -> None:
    room = twin(PresenceManager("acme", "room:1"))
    await room.set_online(42, "tab1")
    await room.set_offline(42)
    await room.set_idle(42)
    [version] = redis_client().keys("pl:{acme}:*")
    assert version.endswith(b":version")
    assert 0 < redis_client().pttl(version) <= 60_000
    await room.set_online(42, "tab1")
    assert redis_client().pttl(version) > 60_000
    manager = PresenceManager("acme", "room:1")
    expire(manager, "tab1")
    await room.sweep()
    assert redis_client().keys("pl:{acme}:*") == [version]
    assert 0 < redis_client().pttl(version) <= 60_000


async def test_a_join_is_one_round_trip(presence: Twin) -> None:
    await presence.set_online(1, "a")
    with count_round_trips() as calls:
        await presence.set_online(2, "b")
    assert calls.of("evalsha") == 1
    assert script("presence_change").sha


async def test_page_shows_what_is_distinct_of_a_user(presence: Twin) -> None:
    for tab, metadata in (("tab1", {"page": 2}), ("tab2", {"page": 1}), ("tab3", {"page": 2})):
        await presence.set_online(42, tab, metadata)
    await presence.set_idle(42, "tab1")
    page = {"42": [{"c": "tab2", "m": {"page": 1}}, {"c": "tab1", "m": {"page": 2}}]}
    assert (await presence.snapshot()).users == page
    await presence.set_idle(42)
    idle = {"42": [{**entry, "idle": True} for entry in page["42"]]}
    assert (await presence.snapshot()).users == idle
