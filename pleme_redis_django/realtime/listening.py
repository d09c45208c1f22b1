"""Listening: what a connection is subscribed to, and what to tell it when some of that was lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from pleme_redis_django.realtime import frames
from pleme_redis_django.redis_state.pubsub.messages import Position


class Subscribed(Protocol):
    """What brings a subscription its messages."""

    @property
    def position(self) -> Position | None:
        """The last message that it brought; None while it is not live."""


class Listening:
    """The subscriptions and rooms of one connection."""

    __slots__ = ("rooms", "subscriptions")

    def __init__(self) -> None:
        self.subscriptions: dict[str, Subscribed] = {}
        """Pattern -> what sends it."""
        self.rooms: dict[str, bool] = {}
        """Room -> whether the connection joined it, or only watches."""

    def resyncs(self) -> Iterator[str]:
        """Return the frames that tell a client that it missed something of each."""
        for pattern, subscribed in self.subscriptions.items():
            position = subscribed.position
            if position is not None:
                yield frames.resync(pattern, position)
        for room in self.rooms:
            yield frames.presence_resync(room)
