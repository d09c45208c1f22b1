"""Who is online, in a product or in one of its rooms, through any number of connections.

Presence expires: a connection counts until it expires, whether or not it was closed,
and every read compares with the server's clock. What became visible (a user came, left, became idle,
or shows other metadata) is sent to the scope's bus by the script that changed it, and so exactly once.
A call costs one round trip. Nothing here waits or loops: ``realtime.presence_keeper`` heartbeats and sweeps.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pleme_redis_django.conf import get_settings, resolve_product
from pleme_redis_django.redis_state.names import (
    PRODUCT_PRESENCE,
    head_of,
    validate_connection_id,
    validate_room,
    validate_user_id,
)
from pleme_redis_django.redis_state.presence.changes import ChangeSignals, PresenceResult, parse_result
from pleme_redis_django.redis_state.pubsub.messages import encode_event
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.flows import Flow, arun, run
from pleme_redis_django.redis_state.server.redis_call import RedisCall, as_texts, script_call
from pleme_redis_django.redis_state.server.scripts import Argument

METADATA_MAX_BYTES = 1024
SWEEP_BATCH = 100
# Lua's unpack() takes some 8,000 values.
USERS_PER_CALL = 1000
KEY_TTL_MS = 24 * 3600 * 1000
# How often a process tells sweepers that a product has presence; a product is forgotten after a day.
REGISTER_SECONDS = 300

UserId = TypeVar("UserId")
"""A user's primary key: int, str or UUID. Its ``str()`` is stored."""

_registered: dict[tuple[str | None, str], float] = {}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PresenceSnapshot:
    """One page of the users who are there. ``version`` is the number of the scope's last event: if the next event
    is not ``version + 1``, some were missed."""

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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PresenceLimits:
    """Beyond which a product or a room refuses another connection."""

    connections_per_user: int = 32
    users: int = 1_000_000


DEFAULT_LIMITS = PresenceLimits()


class PresenceManager:
    """Presence in ``product`` (default: the settings' product), or in one ``room`` of it.

    Raises InvalidProduct and InvalidName at construction; every method raises RedisUnavailable if
    Redis is away. A user id may be of any type whose ``str()`` names the user.
    """

    def __init__(
        self, product: str | None = None, room: str | None = None, *, limits: PresenceLimits = DEFAULT_LIMITS
    ) -> None:
        self.limits = limits
        self.product = resolve_product(product)
        name = PRODUCT_PRESENCE if room is None else validate_room(room)
        self.room = None if name == PRODUCT_PRESENCE else name
        self.keys = keyspace.presence_keys(self.product, self.room or "")
        self._bus = keyspace.channel_bus(self.product, head_of(name))
        self._last_seen_key = keyspace.presence_last_seen(self.product)
        self._change_keys = [*self.keys, self._last_seen_key, keyspace.presence_due(self.product)]

    def __repr__(self) -> str:
        return f"PresenceManager({self.product!r}, room={self.room!r})"

    # Changes

    def set_online(
        self,
        user_id: object,
        connection_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        idle: bool = False,
    ) -> PresenceResult:
        """Join one connection of a user for ``PRESENCE_TTL_SECONDS``, or extend it with new metadata.

        Without a ``connection_id``, it is the one connection of the user that has no id. ``metadata`` is a JSON
        object of up to 1 KiB; ``idle``: the person is away. Raises PresenceRefused if the user has as many
        connections as the limits allow, if as many users are there, or if the connection belongs to another user.
        """
        return run(self._join(user_id, connection_id, metadata, idle))

    async def aset_online(
        self,
        user_id: object,
        connection_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        idle: bool = False,
    ) -> PresenceResult:
        return await arun(self._join(user_id, connection_id, metadata, idle))

    def set_offline(
        self, user_id: object, connection_id: str | None = None, *, grace_seconds: float = 0
    ) -> PresenceResult:
        """Remove one connection of a user, or all of them.

        With ``grace_seconds``, they expire that much later, and nobody sees that a page was reloaded meanwhile.
        """
        return run(self._leave(user_id, connection_id, grace_seconds))

    async def aset_offline(
        self, user_id: object, connection_id: str | None = None, *, grace_seconds: float = 0
    ) -> PresenceResult:
        return await arun(self._leave(user_id, connection_id, grace_seconds))

    def set_idle(
        self, user_id: object, connection_id: str | None = None, *, idle: bool = True
    ) -> PresenceResult:
        """Mark one connection of a user, or all of them, as idle (away) or as active again.

        The user is idle if no connection is active.
        """
        return run(self._mark(user_id, connection_id, idle))

    async def aset_idle(
        self, user_id: object, connection_id: str | None = None, *, idle: bool = True
    ) -> PresenceResult:
        return await arun(self._mark(user_id, connection_id, idle))

    def sweep(self) -> PresenceResult:
        """Remove up to 100 expired connections and announce the users who left. For any process, at any time."""
        return run(self.sweeping())

    async def asweep(self) -> PresenceResult:
        return await arun(self.sweeping())

    def sweeping(self) -> Flow[PresenceResult]:
        """Return the flow of ``sweep``, as a part of a longer one."""
        return self._change("sweep", str(SWEEP_BATCH), "")

    # Reads

    def is_online(self, user_id: object) -> bool:
        """Return whether a user is online. O(1)."""
        return self._is_online(user_id).run()

    async def ais_online(self, user_id: object) -> bool:
        return await self._is_online(user_id).arun()

    def are_online(self, user_ids: Iterable[UserId]) -> dict[UserId, bool]:
        """Return which of the users are online, by the ids as given; one call for each thousand."""
        return run(self._are_online(user_ids))

    async def aare_online(self, user_ids: Iterable[UserId]) -> dict[UserId, bool]:
        return await arun(self._are_online(user_ids))

    def get_online_users(self, limit: int | None = None, offset: int = 0) -> list[str]:
        """Return users who are online, ordered by when they expire. O(log N + the number returned).

        To go through many users while they come and go, use ``snapshot``.
        """
        return self._online_users(limit, offset).run()

    async def aget_online_users(self, limit: int | None = None, offset: int = 0) -> list[str]:
        return await self._online_users(limit, offset).arun()

    def count_online(self) -> int:
        """Return how many users are online. O(log N)."""
        return self._online_count().run()

    async def acount_online(self) -> int:
        return await self._online_count().arun()

    def last_seen(self, user_id: object) -> datetime.datetime | None:
        """Return when the product last saw a user: now if they are online, None after ``LAST_SEEN_SECONDS``."""
        return self._last_seen(user_id).run()

    async def alast_seen(self, user_id: object) -> datetime.datetime | None:
        return await self._last_seen(user_id).arun()

    def snapshot(self, cursor: str | None = None, limit: int = 100) -> PresenceSnapshot:
        """Return about ``limit`` users with their metadata; a user who stays online is on one of the pages."""
        return self._snapshot(cursor, limit).run()

    async def asnapshot(self, cursor: str | None = None, limit: int = 100) -> PresenceSnapshot:
        return await self._snapshot(cursor, limit).arun()

    # What the twins send

    def _join(
        self, user_id: object, connection_id: str | None, metadata: Mapping[str, Any] | None, idle: bool
    ) -> Flow[PresenceResult]:
        user = validate_user_id(user_id)
        # validate_connection_id accepts no colon, so this id cannot collide.
        connection = (
            f":{keyspace.digest(user)}" if connection_id is None else validate_connection_id(connection_id)
        )
        text, state = encode_metadata(metadata or {}), "i" if idle else "a"
        yield from _register(self.product)
        limits = self.limits.connections_per_user, self.limits.users
        return (yield from self._change("join", connection, user, text, *limits, state))

    def _leave(
        self, user_id: object, connection_id: str | None, grace_seconds: float
    ) -> Flow[PresenceResult]:
        connection = "" if connection_id is None else validate_connection_id(connection_id)
        return self._change("leave", connection, validate_user_id(user_id), int(grace_seconds * 1000))

    def _mark(self, user_id: object, connection_id: str | None, idle: bool) -> Flow[PresenceResult]:
        connection = "" if connection_id is None else validate_connection_id(connection_id)
        return self._change("idle" if idle else "active", connection, validate_user_id(user_id))

    def _change(self, operation: str, connection: str, user: str, *more: Argument) -> Flow[PresenceResult]:
        settings = get_settings()
        ttl_ms, seen_ms = settings.presence_ttl_seconds * 1000, settings.last_seen_seconds * 1000
        scope: list[Argument] = [self.room or "", self._bus, ttl_ms, KEY_TTL_MS, seen_ms]
        arguments = [operation, *scope, connection, user, *more]
        result = yield script_call("presence_change", self._change_keys, arguments, read=parse_result)
        if self.room is None:
            yield ChangeSignals(sender=PresenceManager, product=self.product, result=result)
        return result  # type: ignore[no-any-return]  # what `parse_result` made

    def _is_online(self, user_id: object) -> RedisCall[bool]:
        return script_call("presence_check", [self.keys.expiries], [validate_user_id(user_id)], read=bool)

    def _are_online(self, user_ids: Iterable[UserId]) -> Flow[dict[UserId, bool]]:
        ids, online = list(user_ids), dict[UserId, bool]()
        for start in range(0, len(ids), USERS_PER_CALL):
            some = ids[start : start + USERS_PER_CALL]
            flags = yield script_call(
                "presence_check_many", [self.keys.expiries], list(map(validate_user_id, some))
            )
            online.update(zip(some, map(bool, flags), strict=True))
        return online

    def _online_users(self, limit: int | None, offset: int) -> RedisCall[list[str]]:
        arguments: list[Argument] = ["list", offset, -1 if limit is None else limit]
        return script_call("presence_list", [self.keys.expiries], arguments, read=as_texts)

    def _online_count(self) -> RedisCall[int]:
        return script_call("presence_list", [self.keys.expiries], ["count"], read=int)

    def _last_seen(self, user_id: object) -> RedisCall[datetime.datetime | None]:
        keys = [keyspace.presence_keys(self.product, "").expiries, self._last_seen_key]
        return script_call("presence_recall", keys, [validate_user_id(user_id)], read=_moment)

    def _snapshot(self, cursor: str | None, limit: int) -> RedisCall[PresenceSnapshot]:
        return script_call("presence_snapshot", self.keys, [cursor or "0", limit], read=_snapshot)


def encode_metadata(metadata: Mapping[str, Any]) -> str:
    """Return a connection's metadata as JSON text. Raises InvalidEvent if it is not JSON, or over 1 KiB."""
    return encode_event(dict(metadata), METADATA_MAX_BYTES, "metadata", sort_keys=True)


def _register(product: str) -> Flow[None]:
    """Tell sweepers that a product has presence, if it is due."""
    key, now = (get_settings().url, product), time.monotonic()
    if now - _registered.get(key, -REGISTER_SECONDS) >= REGISTER_SECONDS:
        yield RedisCall(("ZADD", keyspace.presence_products(), time.time(), product))
        _registered[key] = now  # only now: whoever joins after an outage has to tell it again


def _moment(reply: list[int | None]) -> datetime.datetime | None:
    [milliseconds] = reply
    if milliseconds is None:
        return None
    return datetime.datetime.fromtimestamp(milliseconds / 1000, tz=datetime.UTC)


def _snapshot(reply: tuple[int, bytes, bytes]) -> PresenceSnapshot:
    version, users, cursor = reply
    return PresenceSnapshot(
        version=version, users_json=users.decode(), cursor=None if cursor == b"0" else cursor.decode()
    )
