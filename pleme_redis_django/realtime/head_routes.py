"""Which connections of this process get the messages of a head."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Protocol

from pleme_redis_django.realtime import frames
from pleme_redis_django.redis_state.names import is_pattern
from pleme_redis_django.redis_state.pubsub.head_feed import HeadFeed
from pleme_redis_django.redis_state.pubsub.messages import BusMessage, Position
from pleme_redis_django.redis_state.pubsub.pattern_tree import PatternTree

MOST_CACHED_CHANNELS = 1024


class PushQueue(Protocol):
    """Where a connection's pushes wait."""

    def push(self, text: str) -> None: ...


class Recipient(Protocol):
    """What routes need to know of a connection."""

    @property
    def id(self) -> str: ...
    @property
    def outbox(self) -> PushQueue: ...


class HeadRoutes:
    """Subscribers by pattern and watchers by room; a ``FeedListener``."""

    def __init__(self) -> None:
        self.feed: HeadFeed | None = None
        self.lock = asyncio.Lock()
        self.uses = 0
        self._patterns = PatternTree()
        self._subscribers: dict[str, dict[Recipient, None]] = defaultdict(dict)
        self._watchers: dict[str, dict[Recipient, None]] = defaultdict(dict)
        self._targets: dict[str, tuple[Recipient, ...]] = {}
        self._floors: dict[tuple[str, Recipient], Position] = {}
        self._highest_floor = 0

    @property
    def position(self) -> Position | None:
        """The position of the head's last message; None while the head is not followed."""
        return None if self.feed is None else self.feed.position

    def subscribe(self, pattern: str, connection: Recipient, floor: Position) -> None:
        """Send a connection what follows ``floor``; it has the messages of this pattern up to there already."""
        self._patterns.add(pattern)
        self._subscribers[pattern][connection] = None
        self._forget_targets(pattern)
        self._floors.pop((pattern, connection), None)
        if self.feed is not None and floor.offset > self.feed.position.offset:
            self._floors[pattern, connection] = floor
            self._highest_floor = max(self._highest_floor, floor.offset)

    def unsubscribe(self, pattern: str, connection: Recipient) -> None:
        _discard(self._subscribers, pattern, connection)
        if pattern not in self._subscribers:
            self._patterns.remove(pattern)
        self._floors.pop((pattern, connection), None)
        self._forget_targets(pattern)

    def _forget_targets(self, pattern: str) -> None:
        if is_pattern(pattern):
            self._targets.clear()
        else:
            self._targets.pop(pattern, None)

    def watch(self, room: str, connection: Recipient) -> None:
        """Send a room's presence and typing to a connection."""
        self._watchers[room][connection] = None

    def unwatch(self, room: str, connection: Recipient) -> None:
        _discard(self._watchers, room, connection)

    # What the feed tells

    def on_message(self, message: BusMessage) -> None:
        """Push a frame, the same text for all, to the connections that it is for."""
        if message.kind == "pub":
            if self._floors:
                self._on_message_above_floors(message)
                return
            targets = self._targets_of(message.channel)
        elif message.kind == "pres":
            targets = tuple(self._watchers.get(message.channel, ()))
        else:
            watching = self._watchers.get(message.channel, {})
            targets = tuple({**dict.fromkeys(self._targets_of(message.channel)), **watching})
        frame, skipped = message.frame, message.skipped
        if skipped == "-":
            for connection in targets:
                connection.outbox.push(frame)
        else:
            for connection in targets:
                if connection.id != skipped:
                    connection.outbox.push(frame)

    def on_loss(self, position: Position, reason: str) -> None:
        """Tell each subscriber that messages are lost."""
        # They belong to the lost messages: the numbers of another epoch begin below them.
        self._floors.clear()
        self._highest_floor = 0
        for pattern, connections in self._subscribers.items():
            text = frames.resync(pattern, position)
            for connection in connections:
                connection.outbox.push(text)

    def on_reconnect(self) -> None:
        """Tell each watcher to take a new snapshot."""
        for room, connections in self._watchers.items():
            text = frames.presence_resync(room)
            for connection in connections:
                connection.outbox.push(text)

    def _on_message_above_floors(self, message: BusMessage) -> None:
        """Send to the connections that need the message for at least one pattern: the others had it in a reply."""
        targets: dict[Recipient, None] = {}
        for pattern in self._patterns.covering(message.channel):
            for connection in self._subscribers[pattern]:
                floor = self._floors.get((pattern, connection))
                if floor is None or floor.epoch != message.epoch or message.offset > floor.offset:
                    targets[connection] = None
        for connection in targets:
            if connection.id != message.skipped:
                connection.outbox.push(message.frame)
        if message.offset >= self._highest_floor:
            self._floors.clear()
            self._highest_floor = 0

    def _targets_of(self, channel: str) -> tuple[Recipient, ...]:
        targets = self._targets.get(channel)
        if targets is None:
            if len(self._targets) > MOST_CACHED_CHANNELS:
                self._targets.clear()
            found: dict[Recipient, None] = {}
            for pattern in self._patterns.covering(channel):
                found.update(self._subscribers[pattern])
            self._targets[channel] = targets = tuple(found)
        return targets


def _discard(table: dict[str, dict[Recipient, None]], name: str, connection: Recipient) -> None:
    connections = table.get(name)
    if connections is not None:
        connections.pop(connection, None)
        if not connections:
            del table[name]
