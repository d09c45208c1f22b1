"""Subscriptions for application code: iterators over what was published, in order, with every loss reported.

The async one listens on the loop's shared bus; the sync one has a connection of its own, whose
socket is its buffer: Redis disconnects a reader that is too slow; it reconnects and catches up.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any, Self

import redis

from pleme_redis_django.exceptions import RedisUnavailable
from pleme_redis_django.redis_state.names import head_of
from pleme_redis_django.redis_state.pubsub.bus import (
    CHECK_SECONDS,
    LIVE_TIMEOUT_SECONDS,
    RECONNECT_FIRST_SECONDS,
    RECONNECT_MOST_SECONDS,
    TAIL_CHECK_SECONDS,
    bus,
)
from pleme_redis_django.redis_state.pubsub.cursor import HeadCursor, MessageOrder
from pleme_redis_django.redis_state.pubsub.head_feed import HeadFeed
from pleme_redis_django.redis_state.pubsub.log import log_page
from pleme_redis_django.redis_state.pubsub.log_page import REPAIR_LIMIT, LogPage
from pleme_redis_django.redis_state.pubsub.messages import (
    BusMessage,
    Message,
    Position,
    Resync,
    parse_bus_message,
    to_message,
)
from pleme_redis_django.redis_state.pubsub.pattern_tree import PatternTree
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.connections import BLOCKING
from pleme_redis_django.redis_state.server.outages import OUTAGES
from pleme_redis_django.redis_state.server.redis_call import RedisCall, redis_client
from pleme_redis_django.redis_state.server.unavailable import outages_as_unavailable

Event = Message | Resync

# As many as REPAIR_LIMIT messages of the default size may need.
REPAIR_PAGES = 64


class AsyncSubscription:
    """``async with manager.asubscribe("order:*") as events: async for event in events``."""

    def __init__(self, product: str, patterns: tuple[str, ...], since: Position | None, buffer: int) -> None:
        self._product = product
        self._patterns = patterns
        self._since = since
        self._buffer = buffer
        self._events: deque[Event] = deque()
        self._arrived = asyncio.Event()
        self._listeners: list[_HeadListener] = []

    async def __aenter__(self) -> Self:
        """Wait until every pattern is live. Raises RedisUnavailable after five seconds."""
        try:
            for head in dict.fromkeys(map(head_of, self._patterns)):
                patterns = [pattern for pattern in self._patterns if head_of(pattern) == head]
                listener = _HeadListener(self, head, patterns, holds=self._since is not None)
                listener.feed = await bus().follow(self._product, head, listener)
                self._listeners.append(listener)
                if self._since is not None:
                    await listener.go_back(listener.feed, self._since)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for listener in self._listeners:
            if listener.feed is not None:
                await bus().unfollow(listener.feed, listener)
        self._listeners.clear()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            self._arrived.clear()
            await self._arrived.wait()
        return self._events.popleft()

    def put(self, event: Event) -> None:
        """Queue an event; if the queue is full, queue the loss of everything in it instead."""
        if len(self._events) >= self._buffer:
            self._give_up(event)
        else:
            self._events.append(event)
        self._arrived.set()

    def _give_up(self, newest: Event) -> None:
        """Empty the queue, and add one Resync for each head that had something in it."""
        lost: dict[str, Resync] = {}
        for event in (*self._events, newest):
            if isinstance(event, Resync):
                lost[event.head] = event
            else:
                head = head_of(event.channel)
                lost[head] = Resync(head=head, position=event.position, reason="limit")
        self._events = deque(lost.values())


class _HeadListener:
    """Feeds one head's messages into an AsyncSubscription."""

    def __init__(
        self, subscription: AsyncSubscription, head: str, patterns: list[str], *, holds: bool
    ) -> None:
        """``holds``: keep what arrives until ``go_back``, also what the feed hands on as it goes live."""
        self.feed: HeadFeed | None = None
        self._subscription = subscription
        self._head = head
        self._patterns = PatternTree(patterns)
        self._held: list[BusMessage] | None = [] if holds else None
        self._floor = Position("", 0)

    def on_message(self, message: BusMessage) -> None:
        if self._held is not None:
            self._held.append(message)
        elif message.kind == "pub" and self._is_new(message) and self._covers(message.channel):
            self._subscription.put(to_message(message))

    def on_loss(self, position: Position, reason: str) -> None:
        self._subscription.put(Resync(head=self._head, position=position, reason=reason))

    def on_reconnect(self) -> None:
        """Nothing: numbered messages are repaired by the feed."""

    def _covers(self, channel: str) -> bool:
        return bool(self._patterns.covering(channel))

    def _is_new(self, message: BusMessage) -> bool:
        return message.epoch != self._floor.epoch or message.offset > self._floor.offset

    async def go_back(self, feed: HeadFeed, since: Position) -> None:
        """Queue what followed ``since`` in front of what has arrived and arrives meanwhile."""
        page = await feed.recover(since, REPAIR_LIMIT, most_pages=REPAIR_PAGES)
        held, self._held = self._held or [], None
        if not page.recovered:
            self.on_loss(page.top, page.status)
        for message in page.messages:
            self.on_message(message)
        self._floor = page.top
        for message in held:
            self.on_message(message)


class Subscription:
    """``with manager.subscribe("order:*") as events: for event in events``. For one thread."""

    def __init__(self, product: str, patterns: tuple[str, ...], since: Position | None) -> None:
        self._product = product
        self._patterns = PatternTree(patterns)
        self._heads = list(dict.fromkeys(map(head_of, patterns)))
        self._since = since
        self._cursors: dict[str, HeadCursor] = {}
        self._names = {keyspace.channel_bus(product, head).encode(): head for head in self._heads}
        self._events: deque[Event] = deque()
        self._pubsub: Any = None
        self._checked = self._heard = 0.0
        self._pinged: float | None = None

    def __enter__(self) -> Self:
        """Wait until every pattern is live. Raises RedisUnavailable."""
        try:
            self._connect()
        except BaseException:
            self._disconnect()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._disconnect()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        while True:
            event = self.get(TAIL_CHECK_SECONDS)
            if event is not None:
                return event

    def get(self, timeout_seconds: float) -> Event | None:
        """Return the next event, or None if there is none in time. Survives a restart of Redis."""
        deadline, delay = time.monotonic() + timeout_seconds, RECONNECT_FIRST_SECONDS
        while not self._events and (left := deadline - time.monotonic()) > 0:
            try:
                if self._pubsub is None:
                    self._connect()
                else:
                    self._receive(left)
            except (RedisUnavailable, *OUTAGES):
                self._disconnect()
                pause = delay * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
                time.sleep(max(0.0, min(pause, deadline - time.monotonic())))
                delay = min(delay * 2, RECONNECT_MOST_SECONDS)
        return self._events.popleft() if self._events else None

    def _connect(self) -> None:
        with outages_as_unavailable():
            client: Any = redis_client(BLOCKING)
            self._pubsub = client.pubsub()
            self._heard, self._pinged = time.monotonic(), None
            self._pubsub.subscribe(*self._names)
            confirmed = 0
            deadline = time.monotonic() + LIVE_TIMEOUT_SECONDS
            while confirmed < len(self._names):
                reply = self._pubsub.get_message(timeout=max(0.0, deadline - time.monotonic()))
                if reply is None:
                    raise redis.TimeoutError("no confirmation of a subscription")
                confirmed += reply["type"] == "subscribe"
        for head in self._heads:
            self._catch_up(head, _run_id())

    def _disconnect(self) -> None:
        pubsub, self._pubsub = self._pubsub, None
        if pubsub is not None:
            pubsub.close()

    def _receive(self, seconds: float) -> None:
        reply = self._pubsub.get_message(timeout=min(seconds, CHECK_SECONDS))
        if reply is None:
            self._probe()
        else:
            self._heard, self._pinged = time.monotonic(), None
        if reply is not None and reply["type"] == "subscribe":
            # redis-py has reconnected, and says nothing else about it.
            self._catch_up(self._names[reply["channel"]], _run_id())
        elif reply is not None and reply["type"] == "message":
            head = self._names[reply["channel"]]
            message = parse_bus_message(reply["data"])
            if message.epoch:
                order = self._cursors[head].advance(message)
                if order is MessageOrder.NEXT:
                    self._put(message)
                elif order is MessageOrder.GAP:
                    self._catch_up(head)
        elif time.monotonic() - self._checked > TAIL_CHECK_SECONDS:
            for head in self._heads:
                self._catch_up(head)

    def _probe(self) -> None:
        """Ping a silent connection: one that is half open would never receive anything."""
        now = time.monotonic()
        if self._pinged is None and now - self._heard > CHECK_SECONDS:
            self._pubsub.ping()
            self._pinged = now
        elif self._pinged is not None and now - self._pinged > CHECK_SECONDS:
            raise redis.TimeoutError(f"no answer to a ping within {CHECK_SECONDS:.0f} s")

    def _catch_up(self, head: str, run_id: str = "") -> None:
        self._checked = time.monotonic()
        cursor = self._cursors.get(head)
        since = cursor.position if cursor else self._since
        is_part = True
        while is_part:
            page: LogPage = log_page(self._product, head, since, REPAIR_LIMIT if since else 0, run_id).run()
            is_part = page.status == "part"
            since = page.reached if is_part else page.top
            self._cursors[head] = HeadCursor(since)
            if not page.recovered and not is_part:
                self._events.append(Resync(head=head, position=page.top, reason=page.status))
                break
            for message in page.messages:
                self._put(message)

    def _put(self, message: BusMessage) -> None:
        if self._patterns.covering(message.channel):
            self._events.append(to_message(message))


def _run_id() -> str:
    return RedisCall(("INFO", "server"), read=lambda info: str(info["run_id"])).run()
