"""Listening: what a connection is subscribed to, and what it is told after a loss."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from pleme_redis_django.realtime import frames
from pleme_redis_django.redis_state.pubsub.messages import Position


class Subscribed(Protocol):
    """What sends a subscription its messages."""

    @property
    def position(self) -> Position | None:
        """The position of the last message that it sent; None while it is not followed."""


class Listening:
    """The subscriptions and rooms of one connection."""

    __slots__ = ("rooms", "subscriptions")

    def __init__(self) -> None:
        self.subscriptions: dict[str, Subscribed] = {}
        """Pattern -> what sends it."""
        self.rooms: dict[str, bool] = {}
        """Room -> whether the connection joined it, or only watches."""

    def resyncs(self) -> Iterator[str]:
        """Return the frames that tell a client, for each of them, that it missed something."""
        for pattern, subscribed in self.subscriptions.items():
            position = subscribed.position
            if position is not None:
                yield frames.resync(pattern, position)
        for room in self.rooms:
            yield frames.presence_resync(room)
