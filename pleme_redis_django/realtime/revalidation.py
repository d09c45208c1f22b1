"""Revalidates open sockets: the user, the session, the product and each permission.

After a signal (logout, a changed user, changed groups) it checks within a second. It also checks every
``REVALIDATE_SECONDS``, for changes without a signal, such as an update of a queryset or a session that expired.
If a database or a cache is away, nothing changes, and it checks again later.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, Protocol

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.backends.base import SessionBase
from django.db import router
from django.utils.crypto import constant_time_compare

from pleme_redis_django.conf import get_settings
from pleme_redis_django.exceptions import InvalidProduct
from pleme_redis_django.realtime import frames
from pleme_redis_django.realtime.authorization import Action, is_allowed, resolve_scope_product
from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.realtime.connection import Connection
from pleme_redis_django.realtime.database_threads import call_for_identity
from pleme_redis_django.realtime.frames import ErrorCode
from pleme_redis_django.realtime.loop_work import LoopWork
from pleme_redis_django.realtime.sessions import load_sessions

BATCH = 100
RETRY_SECONDS = 5.0
"""After how long a socket is checked again if its user, session or rule could not be asked."""

LOOK_SECONDS = 30.0
"""How long the rules of one socket may take in all."""

logger = logging.getLogger("pleme_redis_django.revalidation")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The user and session of a socket, as they are stored now."""

    user: Any
    session: SessionBase | None


class Subscriptions(Protocol):
    """Where the subscriptions and rooms of a connection can be removed."""

    async def unsubscribe(self, connection: Connection, pattern: str) -> None: ...
    async def unwatch(self, connection: Connection, room: str) -> None: ...


class Rooms(Protocol):
    """Where a connection is present."""

    async def leave(self, connection: Connection, room: str) -> None: ...


class Revalidator:
    """Uses the clock of its hub. It makes one round at a time; what is asked for meanwhile is one more round.

    Named sockets have a round of their own, which does not wait for the round of all. If both check one socket,
    the check that began later counts: the other may have loaded what has changed since.
    """

    def __init__(
        self, connections: Mapping[str, Connection], heads: Subscriptions, presence: Rooms, work: LoopWork
    ) -> None:
        self._connections = connections
        self._heads = heads
        self._presence = presence
        self._work = work
        self._named: dict[Connection, None] = {}
        self._unknown: dict[Connection, None] = {}
        self._retry_at = 0.0
        self._is_looking_at_named = self._is_looking_at_all = self._is_all_due = False
        self._looked_at = 0.0

    def begin(self, now: float) -> None:
        """Count the first period from now on."""
        self._looked_at = now

    def look_at(self, connections: Iterable[Connection]) -> None:
        """Check these sockets soon."""
        self._named.update(dict.fromkeys(connections))
        if self._named and not self._is_looking_at_named:
            self._is_looking_at_named = True
            self._work.start(self._look_at_named())

    def look_at_all(self) -> None:
        """Check every socket of this process soon."""
        self._is_all_due = True
        if not self._is_looking_at_all:
            self._is_looking_at_all = True
            self._work.start(self._look_at_all())

    def tick(self, now: float) -> None:
        """Start what is due; called by the hub about twice a second."""
        if now - self._looked_at > get_settings().revalidate_seconds:
            self._looked_at = now
            self.look_at_all()
        if self._unknown and now > self._retry_at:
            unknown, self._unknown = self._unknown, {}
            self.look_at(unknown)

    async def _look_at_named(self) -> None:
        try:
            while self._named:
                batch = list(itertools.islice(self._named, BATCH))
                for connection in batch:
                    del self._named[connection]
                for work in await self._load(batch):
                    self._work.start(work)  # no socket waits for the slow rule of another
        finally:
            self._is_looking_at_named = False

    async def _look_at_all(self) -> None:
        try:
            while self._is_all_due:
                self._is_all_due = False
                connections = list(self._connections.values())
                for start in range(0, len(connections), BATCH):
                    await asyncio.gather(*await self._load(connections[start : start + BATCH]))
        finally:
            self._is_looking_at_all = False

    async def _load(self, connections: list[Connection]) -> list[Coroutine[Any, Any, None]]:
        batch = [each for each in connections if not each.is_closing]
        looks = [each.standing.begin_look() for each in batch]
        try:
            found = await call_for_identity(_judge, batch)
        except Exception as error:
            self._later(batch, error)
            return []
        return [self._apply(*each) for each in zip(batch, looks, found, strict=True)]

    async def _apply(self, connection: Connection, look: int, found: Identity | CloseCode) -> None:
        try:
            if _still_counts(connection, look):
                if isinstance(found, CloseCode):
                    connection.close(found, "expired" if found is CloseCode.EXPIRED else "revoked")
                else:
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._ask_again(connection, look, found)
        except Exception as error:
            self._later([connection], error)

    async def _ask_again(self, connection: Connection, look: int, found: Identity) -> None:
        scope = {**connection.standing.scope, "user": found.user, "session": found.session}
        is_of_product = await _is_of_product(scope, connection.product)
        if not _still_counts(connection, look):
            return
        if not is_of_product:
            connection.close(CloseCode.EXPIRED, "the product changed")
            return
        connection.standing.become(found.user, found.session)
        for pattern in list(connection.listening.subscriptions):
            allowed = await is_allowed(connection.standing.scope, "subscribe", pattern, is_look=True)
            if not _still_counts(connection, look):
                return
            if not allowed:
                await self._heads.unsubscribe(connection, pattern)
                connection.outbox.queue(frames.unsubscribed(pattern))
        action: Action = "presence"
        for room in list(connection.listening.rooms):
            allowed = await is_allowed(connection.standing.scope, action, room, is_look=True)
            if not _still_counts(connection, look):
                return
            if not allowed and room in connection.listening.rooms:
                await self._take_room(connection, room)

    async def _take_room(self, connection: Connection, room: str) -> None:
        is_joined = connection.listening.rooms[room]
        await self._heads.unwatch(connection, room)
        connection.outbox.queue(frames.room_lost(room, ErrorCode.DENIED, "permission withdrawn"))
        if is_joined:
            await self._presence.leave(connection, room)

    def _later(self, connections: list[Connection], error: Exception) -> None:
        logger.error("%d sockets could not be checked.", len(connections), exc_info=error)
        self._unknown.update((each, None) for each in connections if not each.is_closing)
        self._retry_at = self._work.clock() + RETRY_SECONDS


def _still_counts(connection: Connection, look: int) -> bool:
    return connection.standing.is_newest(look) and not connection.is_closing


async def _is_of_product(scope: dict[str, Any], product: str) -> bool:
    """Return whether the socket still belongs to its product; a dashboard's socket has none."""
    if not product:
        return True
    try:
        return await resolve_scope_product(scope) == product
    except InvalidProduct as error:
        logger.warning("A socket is closed because it has no product any more: %s", error)
        return False


def _judge(connections: list[Connection]) -> list[Identity | CloseCode]:
    """Load the users and sessions of some sockets, in a thread: two queries for a session table."""
    model = get_user_model()
    known = {each.standing.user.pk for each in connections if each.user_id is not None}
    # From where users are written: the order may arrive before the replica has the change.
    users = model._default_manager.using(router.db_for_write(model)).in_bulk(known) if known else {}
    keys = {each: _stored_key(each) for each in connections}
    sessions = load_sessions({key for key in keys.values() if key is not None})
    return [
        _judge_one(each, users.get(each.standing.user.pk), sessions.get(keys[each] or ""))
        for each in connections
    ]


def _stored_key(connection: Connection) -> str | None:
    """Return the key of the session that logged the socket in, or else of the one that its rules may read."""
    if connection.standing.session_key is not None:
        return connection.standing.session_key
    key: str | None = getattr(connection.standing.scope.get("session"), "session_key", None)
    return key


def _judge_one(connection: Connection, user: Any, session: SessionBase | None) -> Identity | CloseCode:
    if connection.user_id is None:
        return Identity(user=connection.standing.user, session=session)
    if user is None or not user.is_active:
        return CloseCode.REVOKED
    if connection.standing.session_key is not None:
        assert session is not None, "each key was loaded"
        if str(session.get(SESSION_KEY)) != connection.user_id or BACKEND_SESSION_KEY not in session:
            return CloseCode.EXPIRED
        if not _is_hash_good(user, session.get(HASH_SESSION_KEY, "")):
            return CloseCode.REVOKED
    return Identity(user=user, session=session)


def _is_hash_good(user: Any, stored: str) -> bool:
    """Compare as ``django.contrib.auth.get_user`` does: a new password ends the other sessions."""
    hashes = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return any(constant_time_compare(stored, each) for each in hashes)
