"""Heads: the heads that the sockets of a process listen to, each followed while it is used."""

from __future__ import annotations

from typing import Protocol

from pleme_redis_django.realtime.connection import Connection
from pleme_redis_django.realtime.head_routes import HeadRoutes
from pleme_redis_django.redis_state.names import head_of
from pleme_redis_django.redis_state.pubsub.head_feed import FeedListener, HeadFeed


class Feeds(Protocol):
    """Where a head is followed: the bus."""

    async def follow(self, product: str, head: str, listener: FeedListener) -> HeadFeed: ...
    async def unfollow(self, feed: HeadFeed, listener: FeedListener) -> None: ...


class Heads:
    """Kept by a hub."""

    def __init__(self, feeds: Feeds) -> None:
        self._feeds = feeds
        self._routes: dict[tuple[str, str], HeadRoutes] = {}

    async def unsubscribe(self, connection: Connection, pattern: str) -> None:
        if connection.listening.subscriptions.pop(pattern, None) is not None:
            self._routes[connection.product, head_of(pattern)].unsubscribe(pattern, connection)
            await self.release(connection.product, head_of(pattern))

    async def watch(self, connection: Connection, room: str, *, joins: bool) -> None:
        """Send a room's presence to a connection from now on."""
        rooms = connection.listening.rooms
        if room not in rooms:
            routes = await self.hold(connection.product, head_of(room))
            routes.watch(room, connection)
        rooms[room] = joins or rooms.get(room, False)

    async def unwatch(self, connection: Connection, room: str) -> None:
        if connection.listening.rooms.pop(room, None) is not None:
            self._routes[connection.product, head_of(room)].unwatch(room, connection)
            await self.release(connection.product, head_of(room))

    async def hold(self, product: str, head: str) -> HeadRoutes:
        """Return the routes of a head that is followed, until the caller, or what it subscribes, releases them."""
        routes = self._routes.setdefault((product, head), HeadRoutes())
        routes.uses += 1
        try:
            async with routes.lock:
                if routes.feed is None:
                    routes.feed = await self._feeds.follow(product, head, routes)
        except BaseException:
            await self.release(product, head)
            raise
        return routes

    async def release(self, product: str, head: str) -> None:
        """Undo ``hold``; a head that nobody uses is not followed any more."""
        routes = self._routes[product, head]
        routes.uses -= 1
        if routes.uses == 0:
            del self._routes[product, head]
            if routes.feed is not None:
                await self._feeds.unfollow(routes.feed, routes)
