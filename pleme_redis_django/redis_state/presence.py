"""Who is online, in a product or in one of its rooms, through any number of connections.

Expiry is the truth: a connection counts until its time is over, whether or not anybody said goodbye,
and every read compares with the server's clock. What became visible (a user came, left, became idle,
or shows other metadata) is sent to the scope's bus by the script that changed it, so exactly once.
A call costs one round trip. Nothing here waits or loops: ``realtime.hub`` heartbeats and sweeps.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pleme_redis_django.conf import get_settings, resolve_product
from pleme_redis_django.redis_state import keyspace
from pleme_redis_django.redis_state.channel_names import (
    PRODUCT_PRESENCE,
    head_of,
    validate_connection_id,
    validate_room,
    validate_user_id,
)
from pleme_redis_django.redis_state.connections import async_redis_client, redis_client
from pleme_redis_django.redis_state.messages import encode_event
from pleme_redis_django.redis_state.outages import outages_as_unavailable
from pleme_redis_django.redis_state.presence_changes import (
    PresenceResult,
    parse_result,
    send_signals,
    send_signals_async,
)
from pleme_redis_django.redis_state.scripts import Argument, script

METADATA_MAX_BYTES = 1024
MAX_CONNECTIONS_PER_USER = 32
MAX_USERS = 1_000_000
SWEEP_BATCH = 100
# Lua's unpack() takes some 8,000 values.
USERS_PER_CALL = 1000
KEY_TTL_MS = 24 * 3600 * 1000
# How often a process tells sweepers that a product has presence; a product is forgotten after a day.
REGISTER_SECONDS = 300

UserId = TypeVar("UserId")
"""A user's primary key: int, str or UUID. Its ``str()`` is what is stored."""

_registered: dict[tuple[str | None, str], float] = {}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PresenceSnapshot:
    """One page of who is there. ``version`` numbers the scope's events: the next event is news, and
    one that is not ``version + 1`` says that some were missed."""

    version: int
    users_json: str
    """JSON object, as clients get it: user -> ``[{"c": connection, "m": metadata, "idle": true?}]``."""
    cursor: str | None
    """Where the next page begins; None after the last one."""

    @property
    def users(self) -> dict[str, list[dict[str, Any]]]:
        """The users of this page, decoded."""
        users: dict[str, list[dict[str, Any]]] = json.loads(self.users_json)
        return users


class PresenceManager:
    """Presence in ``product`` (default: the settings' product), or in one ``room`` of it.

    Raises InvalidProduct and InvalidName at construction; every method raises RedisUnavailable when
    Redis is away. A user id may be of any type whose ``str()`` names the user.
    """

    def __init__(self, product: str | None = None, room: str | None = None) -> None:
        self.product = resolve_product(product)
        name = PRODUCT_PRESENCE if room is None else validate_room(room)
        self.room = None if name == PRODUCT_PRESENCE else name
        self.keys = keyspace.presence_keys(self.product, self.room or "")
        self._bus = keyspace.channel_bus(self.product, head_of(name))
        self._last_seen_key = keyspace.presence_last_seen(self.product)
        self._change_keys = [*self.keys, self._last_seen_key, keyspace.presence_due(self.product)]

    def __repr__(self) -> str:
        return f"PresenceManager({self.product!r}, room={self.room!r})"

    def in_room(self, room: str) -> PresenceManager:
        """Return the presence of one room of this product."""
        return PresenceManager(self.product, room)

    # Changes

    def set_online(
        self,
        user_id: object,
        connection_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        max_connections: int = MAX_CONNECTIONS_PER_USER,
        max_users: int = MAX_USERS,
        idle: bool = False,
    ) -> PresenceResult:
        """Join, or extend and describe anew, one connection of a user for ``PRESENCE_TTL_SECONDS``.

        Without a ``connection_id`` it is the user's one nameless connection. ``metadata`` is a JSON
        object of up to 1 KiB; ``idle`` says that the person is away. Raises PresenceRefused when the user
        has ``max_connections``, when the scope has ``max_users``, or when the connection belongs to
        another user.
        """
        arguments = self._join(user_id, connection_id, metadata, max_connections, max_users, idle)
        self._register()
        return self._change(arguments)

    async def aset_online(
        self,
        user_id: object,
        connection_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        max_connections: int = MAX_CONNECTIONS_PER_USER,
        max_users: int = MAX_USERS,
        idle: bool = False,
    ) -> PresenceResult:
        """Do what ``set_online`` does, on the running event loop."""
        arguments = self._join(user_id, connection_id, metadata, max_connections, max_users, idle)
        await self._aregister()
        return await self._achange(arguments)

    def set_offline(
        self, user_id: object, connection_id: str | None = None, *, grace_seconds: float = 0
    ) -> PresenceResult:
        """Remove one connection of a user, or all of them.

        With ``grace_seconds`` they expire that much later, and a page reload in between is not seen.
        """
        return self._change(self._leave(user_id, connection_id, grace_seconds))

    async def aset_offline(
        self, user_id: object, connection_id: str | None = None, *, grace_seconds: float = 0
    ) -> PresenceResult:
        """Do what ``set_offline`` does, on the running event loop."""
        return await self._achange(self._leave(user_id, connection_id, grace_seconds))

    def set_idle(
        self, user_id: object, connection_id: str | None = None, *, idle: bool = True
    ) -> PresenceResult:
        """Mark one connection of a user, or all of them, as idle (away) or as active again.

        The user is idle when no connection is active.
        """
        return self._change(self._mark(user_id, connection_id, idle))

    async def aset_idle(
        self, user_id: object, connection_id: str | None = None, *, idle: bool = True
    ) -> PresenceResult:
        """Do what ``set_idle`` does, on the running event loop."""
        return await self._achange(self._mark(user_id, connection_id, idle))

    def sweep(self) -> PresenceResult:
        """Remove up to 100 expired connections and announce who left. Any process may, at any time."""
        return self._change(self._arguments("sweep", str(SWEEP_BATCH), ""))

    async def asweep(self) -> PresenceResult:
        """Do what ``sweep`` does, on the running event loop."""
        return await self._achange(self._arguments("sweep", str(SWEEP_BATCH), ""))

    # Reads

    def is_online(self, user_id: object) -> bool:
        """Tell whether a user has a live connection. O(1)."""
        user = validate_user_id(user_id)
        return bool(script("is_online").run(redis_client(), [self.keys.expiries], [user]))

    async def ais_online(self, user_id: object) -> bool:
        """Do what ``is_online`` does, on the running event loop."""
        user = validate_user_id(user_id)
        return bool(await script("is_online").arun(async_redis_client(), [self.keys.expiries], [user]))

    def are_online(self, user_ids: Iterable[UserId]) -> dict[UserId, bool]:
        """Tell which of the users are online, keyed by the ids as given; one call per thousand."""
        return {
            user: bool(flag)
            for chunk in _chunks(user_ids)
            for user, flag in zip(
                chunk,
                script("online_flags").run(redis_client(), [self.keys.expiries], _names(chunk)),
                strict=True,
            )
        }

    async def aare_online(self, user_ids: Iterable[UserId]) -> dict[UserId, bool]:
        """Do what ``are_online`` does, on the running event loop."""
        online: dict[UserId, bool] = {}
        for chunk in _chunks(user_ids):
            flags = await script("online_flags").arun(
                async_redis_client(), [self.keys.expiries], _names(chunk)
            )
            online.update(zip(chunk, map(bool, flags), strict=True))
        return online

    def get_online_users(self, limit: int | None = None, offset: int = 0) -> list[str]:
        """List users who are online, the one whose time ends first first. O(log N + the number returned).

        To walk through many while they come and go, page with ``snapshot``.
        """
        arguments = _page(limit, offset)
        return _texts(script("online_users").run(redis_client(), [self.keys.expiries], arguments))

    async def aget_online_users(self, limit: int | None = None, offset: int = 0) -> list[str]:
        """Do what ``get_online_users`` does, on the running event loop."""
        arguments = _page(limit, offset)
        return _texts(
            await script("online_users").arun(async_redis_client(), [self.keys.expiries], arguments)
        )

    def count_online(self) -> int:
        """Count the users who are online. O(log N)."""
        return int(script("online_users").run(redis_client(), [self.keys.expiries], ["count"]))

    async def acount_online(self) -> int:
        """Do what ``count_online`` does, on the running event loop."""
        return int(await script("online_users").arun(async_redis_client(), [self.keys.expiries], ["count"]))

    def last_seen(self, user_id: object) -> datetime.datetime | None:
        """Tell when the product saw a user last: now when online, None after ``LAST_SEEN_SECONDS``."""
        reply = script("last_seen").run(redis_client(), self._last_seen_keys(), [validate_user_id(user_id)])
        return _moment(reply[0])

    async def alast_seen(self, user_id: object) -> datetime.datetime | None:
        """Do what ``last_seen`` does, on the running event loop."""
        user = validate_user_id(user_id)
        return _moment(
            (await script("last_seen").arun(async_redis_client(), self._last_seen_keys(), [user]))[0]
        )

    def snapshot(self, cursor: str | None = None, limit: int = 100) -> PresenceSnapshot:
        """Read about ``limit`` users with their metadata; who is there throughout is on some page."""
        arguments: list[Argument] = [cursor or "0", limit]
        return _snapshot(script("presence_snapshot").run(redis_client(), self.keys, arguments))

    async def asnapshot(self, cursor: str | None = None, limit: int = 100) -> PresenceSnapshot:
        """Do what ``snapshot`` does, on the running event loop."""
        arguments: list[Argument] = [cursor or "0", limit]
        return _snapshot(await script("presence_snapshot").arun(async_redis_client(), self.keys, arguments))

    # What the twins share

    def _change(self, arguments: list[Argument]) -> PresenceResult:
        reply = script("change_presence").run(redis_client(), self._change_keys, arguments)
        result = parse_result(reply)
        if self.room is None:
            send_signals(PresenceManager, self.product, result)
        return result

    async def _achange(self, arguments: list[Argument]) -> PresenceResult:
        reply = await script("change_presence").arun(async_redis_client(), self._change_keys, arguments)
        result = parse_result(reply)
        if self.room is None:
            await send_signals_async(PresenceManager, self.product, result)
        return result

    def _arguments(self, operation: str, connection: str, user: str, *more: Argument) -> list[Argument]:
        settings = get_settings()
        ttl_ms, seen_ms = settings.presence_ttl_seconds * 1000, settings.last_seen_seconds * 1000
        return [operation, self.room or "", self._bus, ttl_ms, KEY_TTL_MS, seen_ms, connection, user, *more]

    def _join(
        self,
        user_id: object,
        connection_id: str | None,
        metadata: Mapping[str, Any] | None,
        max_connections: int,
        max_users: int,
        idle: bool,
    ) -> list[Argument]:
        user = validate_user_id(user_id)
        # No name that validate_connection_id accepts holds a colon, so this one is nobody else's.
        connection = (
            f":{keyspace.digest(user)}" if connection_id is None else validate_connection_id(connection_id)
        )
        text = encode_metadata(metadata or {})
        state = "i" if idle else "a"
        return self._arguments("join", connection, user, text, max_connections, max_users, state)

    def _leave(self, user_id: object, connection_id: str | None, grace_seconds: float) -> list[Argument]:
        connection = "" if connection_id is None else validate_connection_id(connection_id)
        return self._arguments("leave", connection, validate_user_id(user_id), int(grace_seconds * 1000))

    def _mark(self, user_id: object, connection_id: str | None, idle: bool) -> list[Argument]:
        connection = "" if connection_id is None else validate_connection_id(connection_id)
        return self._arguments("idle" if idle else "active", connection, validate_user_id(user_id))

    def _last_seen_keys(self) -> list[str]:
        return [keyspace.presence_keys(self.product, "").expiries, self._last_seen_key]

    def _register(self) -> None:
        if _is_registration_due(self.product):
            with outages_as_unavailable():
                redis_client().zadd(keyspace.presence_products(), {self.product: time.time()})

    async def _aregister(self) -> None:
        if _is_registration_due(self.product):
            with outages_as_unavailable():
                await async_redis_client().zadd(keyspace.presence_products(), {self.product: time.time()})


def encode_metadata(metadata: Mapping[str, Any]) -> str:
    """Return a connection's metadata as JSON text; raises InvalidEvent when it is none, or over 1 KiB."""
    return encode_event(dict(metadata), METADATA_MAX_BYTES, "metadata", sort_keys=True)


def _is_registration_due(product: str) -> bool:
    key, now = (get_settings().url, product), time.monotonic()
    if now - _registered.get(key, -REGISTER_SECONDS) < REGISTER_SECONDS:
        return False
    _registered[key] = now
    return True


def _chunks(user_ids: Iterable[UserId]) -> Iterable[list[UserId]]:
    ids = list(user_ids)
    return (ids[start : start + USERS_PER_CALL] for start in range(0, len(ids), USERS_PER_CALL))


def _names(user_ids: Iterable[object]) -> list[str]:
    return [validate_user_id(user_id) for user_id in user_ids]


def _page(limit: int | None, offset: int) -> list[Argument]:
    return ["list", offset, -1 if limit is None else limit]


def _texts(values: Iterable[bytes]) -> list[str]:
    return [value.decode() for value in values]


def _moment(milliseconds: int | None) -> datetime.datetime | None:
    if milliseconds is None:
        return None
    return datetime.datetime.fromtimestamp(milliseconds / 1000, tz=datetime.UTC)


def _snapshot(reply: tuple[int, bytes, bytes]) -> PresenceSnapshot:
    version, users, cursor = reply
    return PresenceSnapshot(
        version=version, users_json=users.decode(), cursor=None if cursor == b"0" else cursor.decode()
    )
