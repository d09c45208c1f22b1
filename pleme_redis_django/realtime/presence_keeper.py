"""Keeps a process's connections online, and removes those of processes that died.

In each period, one heartbeat for each product extends every connection of this process in all its rooms. One process
of the cluster sweeps every product that has presence, about once a second.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from pleme_redis_django.conf import get_settings
from pleme_redis_django.exceptions import PlemeError, PresenceRefused
from pleme_redis_django.realtime import frames
from pleme_redis_django.realtime.connection import Connection
from pleme_redis_django.realtime.frames import ErrorCode
from pleme_redis_django.realtime.loop_work import LoopWork
from pleme_redis_django.redis_state.names import PRODUCT_PRESENCE
from pleme_redis_django.redis_state.presence.changes import PresenceResult
from pleme_redis_django.redis_state.presence.manager import KEY_TTL_MS, PresenceLimits, PresenceManager
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.redis_call import async_redis_client, script_call
from pleme_redis_django.redis_state.server.scripts import Argument
from pleme_redis_django.redis_state.server.unavailable import outages_as_unavailable

# A script blocks Redis for about 2 ms for a thousand connections, and 3 ms more for a thousand rooms.
PAIRS_PER_CALL = 5000
SCOPES_PER_CALL = 1000
SWEEP_AGAIN_SECONDS = 1.0
"""After how long to ask for the turn to sweep again, until the sweeper says when."""

logger = logging.getLogger("pleme_redis_django.presence_keeper")


class Watched(Protocol):
    """Which rooms a connection is told about."""

    async def unwatch(self, connection: Connection, room: str) -> None: ...


class Sweeper(Protocol):
    """Who removes what has expired, in these products and in all others; returns when to call again."""

    async def astep(self, own: Iterable[str]) -> float: ...


class PresenceKeeper:
    """Uses the clock of its hub."""

    def __init__(
        self, connections: Mapping[str, Connection], heads: Watched, sweeper: Sweeper, work: LoopWork
    ) -> None:
        self._connections = connections
        self._heads = heads
        self._work = work
        self._beaten_at = self._swept_at = float("-inf")
        self._sweeper = sweeper
        self._sweep_pause = SWEEP_AGAIN_SECONDS
        self._is_beating = self._is_sweeping = False

    async def join(
        self, connection: Connection, room: str, metadata: dict[str, Any] | None = None
    ) -> PresenceResult:
        """Bring a connection online in a room, or in its product, with what it says about itself there.

        Without ``metadata``, that stays as it was. Raises InvalidEvent, PresenceRefused, RedisUnavailable; then it
        stays as it was, too.
        """
        before = connection.appearance.metadata.get(room)
        if metadata is not None:
            connection.appearance.say(room, metadata)
        try:
            return await self._set_online(connection, room)
        except BaseException:
            if metadata is not None:
                connection.appearance.say(room, before)
            raise

    async def _set_online(self, connection: Connection, room: str) -> PresenceResult:
        appearance, own = connection.appearance, connection.limits
        limits = PresenceLimits(users=own.room_members)
        if room == PRODUCT_PRESENCE:
            limits = PresenceLimits(connections_per_user=own.connections_per_user)
        manager = PresenceManager(connection.product, room, limits=limits)
        return await manager.aset_online(
            connection.user_id, connection.id, appearance.metadata.get(room), idle=appearance.is_idle
        )

    async def leave(self, connection: Connection, room: str, *, grace_seconds: float = 0) -> None:
        """Remove a connection from a room, or from its product."""
        manager = PresenceManager(connection.product, room)
        await manager.aset_offline(connection.user_id, connection.id, grace_seconds=grace_seconds)
        if not connection.listening.rooms.get(room):
            connection.appearance.say(room, None)

    async def leave_all(self, connection: Connection, rooms: dict[str, bool]) -> None:
        """Remove a connection from everything, after the grace for a page that reloads."""
        grace = get_settings().presence_grace_seconds
        for room in (PRODUCT_PRESENCE, *_joined(rooms)):
            with _apart("A connection of product %s could not leave.", connection.product):
                await self.leave(connection, room, grace_seconds=grace)

    async def settle_idle(self, connection: Connection) -> None:
        """Show a connection as idle or active in its product and its rooms, as it said last; not too often."""
        appearance = connection.appearance
        if appearance.begin_settling(self._work.clock()):
            idle = appearance.wants_idle
            for room in (PRODUCT_PRESENCE, *_joined(connection.listening.rooms)):
                await self._mark(connection, room, idle)
            appearance.is_idle = idle

    async def _mark(self, connection: Connection, room: str, idle: bool) -> None:
        manager = PresenceManager(connection.product, room)
        await manager.aset_idle(connection.user_id, connection.id, idle=idle)

    # The clock

    def tick(self, now: float) -> None:
        """Start what is due; called by the hub about twice a second."""
        if now - self._beaten_at > get_settings().presence_ttl_seconds / 3 and not self._is_beating:
            self._beaten_at = now
            self._work.start(self.heartbeat())
        if now - self._swept_at > self._sweep_pause and not self._is_sweeping:
            self._swept_at = now
            self._is_sweeping = True
            self._work.start(self.sweep())

    async def heartbeat(self) -> None:
        """Extend every connection of this process: one call for each product; one that fails stops no other."""
        self._is_beating = True
        try:
            scopes_of = self._scopes()
            for product, scopes in scopes_of.items():
                for chunk in _chunks(scopes):
                    with _apart("The heartbeat of product %s failed.", product):
                        await self._beat(product, chunk)
            if scopes_of:
                with outages_as_unavailable():
                    await async_redis_client().zadd(
                        keyspace.presence_products(), dict.fromkeys(scopes_of, time.time())
                    )
        finally:
            self._is_beating = False

    def _scopes(self) -> dict[str, dict[str, list[Connection]]]:
        products: dict[str, dict[str, list[Connection]]] = defaultdict(lambda: defaultdict(list))
        for connection in self._connections.values():
            if connection.is_someone_online and not connection.is_closing:
                scopes = products[connection.product]
                scopes[PRODUCT_PRESENCE].append(connection)
                for room in _joined(connection.listening.rooms):
                    scopes[room].append(connection)
        return products

    async def _beat(self, product: str, scopes: dict[str, list[Connection]]) -> None:
        vanished = await self._extend(product, scopes)
        for room, connections in scopes.items():
            for connection in connections:
                if connection.id not in self._connections:
                    # It closed meanwhile, and the heartbeat may have come after its leave.
                    with _apart("A connection of product %s could not leave.", product):
                        await self._leave_late(connection, room)
        for room, connection in vanished:
            if self._belongs(connection, room):
                with _apart("A connection of product %s could not come back.", product):
                    await self._come_back(connection, room)

    async def _extend(
        self, product: str, scopes: dict[str, list[Connection]]
    ) -> list[tuple[str, Connection]]:
        """Extend some connections in one call; return those that Redis does not have there."""
        settings = get_settings()
        keys = [keyspace.presence_last_seen(product), keyspace.presence_due(product)]
        arguments: list[Argument] = [
            settings.presence_ttl_seconds * 1000,
            KEY_TTL_MS,
            settings.last_seen_seconds * 1000,
        ]
        for room, connections in scopes.items():
            keys += PresenceManager(product, room).keys
            arguments.append(len(connections))
            arguments += itertools.chain.from_iterable((each.id, each.user_id or "") for each in connections)
        reply: list[Any] = await script_call("presence_beat", keys, arguments).arun()
        rooms = list(scopes)
        return [
            (rooms[number - 1], self._connections[name.decode()])
            for number, name in zip(reply[0::2], reply[1::2], strict=True)
            if name.decode() in self._connections
        ]

    def _belongs(self, connection: Connection, room: str) -> bool:
        """Return whether a connection is still to be present in a room: it may leave during each wait."""
        is_open = connection.id in self._connections and not connection.is_closing
        return is_open and (room == PRODUCT_PRESENCE or connection.listening.rooms.get(room, False))

    async def _come_back(self, connection: Connection, room: str) -> None:
        said_idle = connection.appearance.is_idle
        try:
            await self.join(connection, room)
        except PresenceRefused as refused:
            # Others took the place while this process was away; the socket stays open, and is not shown.
            if room != PRODUCT_PRESENCE:
                await self._heads.unwatch(connection, room)
                connection.appearance.say(room, None)
                connection.outbox.queue(frames.room_lost(room, ErrorCode.LIMIT, str(refused)))
            return
        if not self._belongs(connection, room):
            await self._leave_late(connection, room)
        elif connection.appearance.is_idle is not said_idle:
            await self._mark(connection, room, connection.appearance.is_idle)

    async def _leave_late(self, connection: Connection, room: str) -> None:
        """Remove again what left while its heartbeat or its return was on its way."""
        is_open = connection.id in self._connections
        grace = 0 if is_open else get_settings().presence_grace_seconds
        await self.leave(connection, room, grace_seconds=grace)

    async def sweep(self) -> None:
        """Remove the expired connections of every product, if it is this process's turn."""
        try:
            own = {each.product for each in self._connections.values() if each.product}
            self._sweep_pause = await self._sweeper.astep(sorted(own))
        finally:
            self._is_sweeping = False


def _joined(rooms: dict[str, bool]) -> list[str]:
    return [room for room, is_joined in rooms.items() if is_joined and room != PRODUCT_PRESENCE]


def _chunks(scopes: dict[str, list[Connection]]) -> Iterator[dict[str, list[Connection]]]:
    """Split the connections of a product into parts that one call extends."""
    chunk: dict[str, list[Connection]] = {}
    pairs = 0
    for room, connections in scopes.items():
        for connection in connections:
            if pairs == PAIRS_PER_CALL or (room not in chunk and len(chunk) == SCOPES_PER_CALL):
                yield chunk
                chunk, pairs = {}, 0
            chunk.setdefault(room, []).append(connection)
            pairs += 1
    if chunk:
        yield chunk


@contextmanager
def _apart(message: str, product: str) -> Iterator[None]:
    """Log what fails for one, so that the others continue."""
    try:
        yield
    except PlemeError as error:
        logger.warning(f"{message} %s", product, error)
    except Exception:
        logger.exception(message, product)
