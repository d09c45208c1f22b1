"""Listening: what a connection is subscribed to, and what to tell it when some of that was lost."""

from __future__ import annotations

from collections.abc import Iterator

from pleme_redis_django.realtime import frames
from pleme_redis_django.realtime.head_routes import HeadRoutes


class Listening:
    """The subscriptions and rooms of one connection."""

    __slots__ = ("rooms", "subscriptions")

    def __init__(self) -> None:
        self.subscriptions: dict[str, HeadRoutes] = {}
        """Pattern -> the routes that send it."""
        self.rooms: dict[str, bool] = {}
        """Room -> whether the connection joined it, or only watches."""

    def resyncs(self) -> Iterator[str]:
        """Return the frames that tell a client that it missed something of each."""
        for pattern, routes in self.subscriptions.items():
            if routes.feed is not None:
                yield frames.resync(pattern, routes.feed.position)
        for room in self.rooms:
            yield frames.presence_resync(room)
