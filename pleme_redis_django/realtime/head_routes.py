"""Which connections of this process get what a head of a product brings."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

from pleme_redis_django.realtime import frames
from pleme_redis_django.redis_state.channel_names import covers
from pleme_redis_django.redis_state.head_feed import HeadFeed
from pleme_redis_django.redis_state.messages import BusMessage, Position

if TYPE_CHECKING:
    from pleme_redis_django.realtime.connection import Connection

MOST_CACHED_CHANNELS = 1024


class HeadRoutes:
    """Subscribers by pattern and watchers by room; a ``FeedListener``."""

    def __init__(self) -> None:
        self.feed: HeadFeed | None = None
        self.lock = asyncio.Lock()
        self.uses = 0
        self._subscribers: dict[str, dict[Connection, None]] = defaultdict(dict)
        self._watchers: dict[str, dict[Connection, None]] = defaultdict(dict)
        self._floors: dict[Connection, Position] = {}
        self._targets: dict[str, tuple[Connection, ...]] = {}

    def subscribe(self, pattern: str, connection: Connection, floor: Position) -> None:
        """Send what follows ``floor`` to a connection; what the feed brings up to there is skipped."""
        self._subscribers[pattern][connection] = None
        self._targets.clear()
        if self.feed is not None and floor.offset > self.feed.position.offset:
            self._floors[connection] = floor

    def unsubscribe(self, pattern: str, connection: Connection) -> None:
        """Undo ``subscribe``."""
        _discard(self._subscribers, pattern, connection)
        self._targets.clear()

    def watch(self, room: str, connection: Connection) -> None:
        """Send a room's presence and typing to a connection."""
        self._watchers[room][connection] = None
        self._targets.clear()

    def unwatch(self, room: str, connection: Connection) -> None:
        """Undo ``watch``."""
        _discard(self._watchers, room, connection)
        self._targets.clear()

    # What the feed tells

    def on_message(self, message: BusMessage) -> None:
        """Push a frame, the same text for everyone, to whom it concerns."""
        if message.kind == "pub":
            if self._floors:
                self._on_message_above_floors(message)
                return
            targets = self._targets.get(message.channel) or self._find_targets(message.channel)
        elif message.kind == "pres":
            targets = tuple(self._watchers.get(message.channel, ()))
        else:
            watching = self._watchers.get(message.channel, {})
            targets = tuple({**dict.fromkeys(self._find_targets(message.channel)), **watching})
        frame, skipped = message.frame, message.skipped
        if skipped == "-":
            for connection in targets:
                connection.push(frame)
        else:
            for connection in targets:
                if connection.id != skipped:
                    connection.push(frame)

    def on_loss(self, position: Position, reason: str) -> None:
        """Tell each subscriber that messages are lost."""
        for pattern, connections in self._subscribers.items():
            text = frames.resync(pattern, position)
            for connection in connections:
                connection.push(text)

    def on_reconnect(self) -> None:
        """Tell each watcher to look again."""
        for room, connections in self._watchers.items():
            text = frames.presence_resync(room)
            for connection in connections:
                connection.push(text)

    def _on_message_above_floors(self, message: BusMessage) -> None:
        for connection in self._find_targets(message.channel):
            floor = self._floors.get(connection)
            is_above = floor is None or floor.epoch != message.epoch or message.offset > floor.offset
            if is_above and connection.id != message.skipped:
                connection.push(message.frame)
        self._floors = {
            connection: floor
            for connection, floor in self._floors.items()
            if floor.epoch == message.epoch and floor.offset > message.offset
        }

    def _find_targets(self, channel: str) -> tuple[Connection, ...]:
        if len(self._targets) > MOST_CACHED_CHANNELS:
            self._targets.clear()
        found: dict[Connection, None] = {}
        for pattern, connections in self._subscribers.items():
            if covers(pattern, channel):
                found.update(connections)
        self._targets[channel] = targets = tuple(found)
        return targets


def _discard(table: dict[str, dict[Connection, None]], name: str, connection: Connection) -> None:
    connections = table.get(name)
    if connections is not None:
        connections.pop(connection, None)
        if not connections:
            del table[name]
