"""Keeps a process's connections online, and removes those of processes that died.

One heartbeat per product and period extends every connection of this process in all its rooms. Any
process sweeps every product that has presence, about once a second; who removes a user tells of it.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from pleme_redis_django.conf import get_settings
from pleme_redis_django.exceptions import PresenceRefused
from pleme_redis_django.redis_state import keyspace
from pleme_redis_django.redis_state.channel_names import PRODUCT_PRESENCE
from pleme_redis_django.redis_state.connections import async_redis_client
from pleme_redis_django.redis_state.outages import outages_as_unavailable
from pleme_redis_django.redis_state.presence import KEY_TTL_MS, PresenceManager
from pleme_redis_django.redis_state.presence_changes import PresenceResult
from pleme_redis_django.redis_state.presence_sweep import (
    PRODUCTS_SECONDS,
    SWEEP_SECONDS,
    alist_products,
    asweep_product,
)
from pleme_redis_django.redis_state.scripts import Argument, script

if TYPE_CHECKING:
    from pleme_redis_django.realtime.connection import Connection
    from pleme_redis_django.realtime.hub import Hub

# A script holds Redis up for about 2 ms per thousand pairs.
PAIRS_PER_CALL = 5000


class PresenceKeeper:
    """Works on the clock of its hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._beaten_at = self._swept_at = self._listed_at = 0.0
        self._other_products: set[str] = set()
        self._is_sweeping = False

    async def join(self, connection: Connection, room: str) -> PresenceResult:
        """Bring a connection online in a room, or in its product. Raises PresenceRefused, RedisUnavailable."""
        limits = connection.limits
        manager = PresenceManager(connection.product, room)
        if manager.room is None:
            return await manager.aset_online(
                connection.user_id,
                connection.id,
                connection.metadata,
                max_connections=limits.connections_per_user,
            )
        return await manager.aset_online(
            connection.user_id, connection.id, connection.metadata, max_users=limits.room_members
        )

    async def leave(self, connection: Connection, room: str, *, grace_seconds: float = 0) -> None:
        """Take a connection out of a room, or of its product."""
        manager = PresenceManager(connection.product, room)
        await manager.aset_offline(connection.user_id, connection.id, grace_seconds=grace_seconds)

    async def leave_all(self, connection: Connection, rooms: dict[str, bool]) -> None:
        """Take a connection out of everything, once the grace of a page reload is over."""
        grace = get_settings().presence_grace_seconds
        joined = [room for room, is_joined in rooms.items() if is_joined and room != PRODUCT_PRESENCE]
        for room in (PRODUCT_PRESENCE, *joined):
            await self.leave(connection, room, grace_seconds=grace)

    async def set_idle(self, connection: Connection, idle: bool) -> None:
        """Mark a connection idle or active in its product and its rooms."""
        joined = [
            room for room, is_joined in connection.rooms.items() if is_joined and room != PRODUCT_PRESENCE
        ]
        for room in (PRODUCT_PRESENCE, *joined):
            await PresenceManager(connection.product, room).aset_idle(
                connection.user_id, connection.id, idle=idle
            )

    # The clock

    def grow_older(self, seconds: float) -> None:
        """Let the timers be ``seconds`` further on."""
        self._beaten_at -= seconds
        self._swept_at -= seconds
        self._listed_at -= seconds

    def tick(self, now: float) -> None:
        """Start what is due; called by the hub about twice a second."""
        if now - self._beaten_at > get_settings().presence_ttl_seconds / 3:
            self._beaten_at = now
            self._hub.start(self.heartbeat())
        if now - self._swept_at > SWEEP_SECONDS * random.uniform(0.8, 1.2) and not self._is_sweeping:  # noqa: S311
            self._swept_at = now
            self._is_sweeping = True
            self._hub.start(self.sweep())

    async def heartbeat(self) -> None:
        """Extend every connection of this process: one call per product."""
        for product, scopes in self._scopes().items():
            await self._beat(product, scopes)
        products = {each.product for each in self._hub.connections.values() if each.product}
        if products:
            with outages_as_unavailable():
                await async_redis_client().zadd(
                    keyspace.presence_products(), dict.fromkeys(products, time.time())
                )

    def _scopes(self) -> dict[str, dict[str, list[Connection]]]:
        products: dict[str, dict[str, list[Connection]]] = defaultdict(lambda: defaultdict(list))
        for connection in self._hub.connections.values():
            if connection.is_someone_online:
                scopes = products[connection.product]
                scopes[PRODUCT_PRESENCE].append(connection)
                for room, is_joined in connection.rooms.items():
                    if is_joined and room != PRODUCT_PRESENCE:
                        scopes[room].append(connection)
        return products

    async def _beat(self, product: str, scopes: dict[str, list[Connection]]) -> None:
        pairs = [(room, each) for room, connections in scopes.items() for each in connections]
        for start in range(0, len(pairs), PAIRS_PER_CALL):
            chunk: dict[str, list[Connection]] = defaultdict(list)
            for room, connection in pairs[start : start + PAIRS_PER_CALL]:
                chunk[room].append(connection)
            vanished = await self._beat_chunk(product, chunk)
            for room, connection in vanished:
                if connection.id in self._hub.connections:
                    await self._come_back(connection, room)

    async def _beat_chunk(
        self, product: str, scopes: dict[str, list[Connection]]
    ) -> list[tuple[str, Connection]]:
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
        reply = await script("heartbeat_presence").arun(async_redis_client(), keys, arguments)
        rooms = list(scopes)
        return [
            (rooms[number - 1], self._hub.connections[name.decode()])
            for number, name in zip(reply[0::2], reply[1::2], strict=True)
            if name.decode() in self._hub.connections
        ]

    async def _come_back(self, connection: Connection, room: str) -> None:
        try:
            await self.join(connection, room)
        except PresenceRefused:
            # Others took the place while this process was away; the socket stays, unseen.
            connection.rooms.pop(room, None)

    async def sweep(self) -> None:
        """Remove who expired, in every product that this process knows to have presence."""
        try:
            await self._list_products()
            own = {each.product for each in self._hub.connections.values()}
            for product in own | self._other_products:
                await asweep_product(product)
        finally:
            self._is_sweeping = False

    async def _list_products(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._listed_at > PRODUCTS_SECONDS:
            self._listed_at = now
            self._other_products = set(await alist_products())
