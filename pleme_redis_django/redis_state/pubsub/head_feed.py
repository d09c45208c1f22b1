"""One head of one product, as a process follows it: in order, with gaps repaired, and the newest messages kept."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from pleme_redis_django.redis_state.names import covers
from pleme_redis_django.redis_state.pubsub.cursor import HeadCursor, MessageOrder
from pleme_redis_django.redis_state.pubsub.log_page import REPAIR_LIMIT, LogPage
from pleme_redis_django.redis_state.pubsub.messages import BusMessage, Position
from pleme_redis_django.redis_state.pubsub.recent_messages import (
    RECENT_MESSAGES,
    RecentBudget,
    RecentMessages,
)

# Beyond this, a repair starts again from the log, which has these messages anyway.
MOST_WAITING, MOST_WAITING_CHARACTERS = 10_000, 4 * 1024 * 1024
RECOVERY_PAGES = 4
"""How many pages of the log are read for a client that comes back."""


logger = logging.getLogger("pleme_redis_django.bus")


class FeedListener(Protocol):
    """The callbacks of a feed, on its event loop; they may not block, and what they raise is logged."""

    def on_message(self, message: BusMessage) -> None:
        """Take the next message, in order; presence and typing come as they are."""

    def on_loss(self, position: Position, reason: str) -> None:
        """Learn that messages before ``position`` are lost; ``reason`` as in ``Resync``."""

    def on_reconnect(self) -> None:
        """Learn that presence and typing events may have been missed."""


class Log(Protocol):
    """The log of the head that a feed follows. Reading it raises RedisUnavailable."""

    @property
    def product(self) -> str: ...
    @property
    def head(self) -> str: ...
    async def page(
        self, since: Position | None, limit: int, run_id: str = "", pattern: str = ""
    ) -> LogPage: ...


class HeadFeed:
    """The messages of one head, numbered without a gap, for every listener of this event loop."""

    def __init__(self, log: Log, budget: RecentBudget | None = None) -> None:
        self.log = log
        self.listeners: list[FeedListener] = []
        self.live = asyncio.Event()
        self.cursor: HeadCursor | None = None
        self.recent = RecentMessages(budget or RecentBudget())
        self._reading_back = asyncio.Lock()
        self._waiting_characters = 0
        self._waiting: list[BusMessage] = []
        self._is_catching_up = False
        self._is_stale = False
        self._run_id = ""

    @property
    def position(self) -> Position:
        """The last message that was passed on; only once ``live``."""
        assert self.cursor is not None, "the feed is not live yet"
        return self.cursor.position

    def take(self, message: BusMessage) -> bool:
        """Pass on a message from the bus; return False if there is a gap, which ``catch_up`` repairs."""
        if not message.epoch:
            self._tell(lambda listener: listener.on_message(message))
            return True
        if self._is_catching_up or self.cursor is None:
            self._wait(message)
            return True
        order = self.cursor.advance(message)
        if order is MessageOrder.NEXT:
            self._hand_on(message)
        return order is not MessageOrder.GAP

    def _wait(self, message: BusMessage) -> None:
        """Keep a message until the log is read; too many are dropped, and it is read once more."""
        self._waiting.append(message)
        self._waiting_characters += len(message.frame)
        if len(self._waiting) > MOST_WAITING or self._waiting_characters > MOST_WAITING_CHARACTERS:
            self._waiting.clear()
            self._waiting_characters = 0
            self._is_stale = True

    def note_loss(self, run_id: str = "") -> None:
        """Note that messages of the bus may be missing: a ``catch_up`` in progress reads once more."""
        self._run_id = run_id or self._run_id
        self._is_stale = True

    async def catch_up(self) -> None:
        """Read missed messages from the log and pass them on, or report the loss.

        Raises RedisUnavailable; the feed is then as before, and another call continues.
        """
        self._is_stale = True
        if self._is_catching_up:
            return
        self._is_catching_up = True
        try:
            while self._is_stale:
                # A call in the meantime may be about a loss that happened after this read.
                self._is_stale = False
                await self._read_once()
        finally:
            self._is_catching_up = False
        waiting, self._waiting = self._waiting, []
        self._waiting_characters = 0
        self.live.set()
        gaps = [message for message in waiting if not self.take(message)]
        if gaps:
            await self.catch_up()

    async def _read_once(self) -> None:
        is_part = True
        while is_part:
            since = self.cursor.position if self.cursor else None
            limit = REPAIR_LIMIT if since else 0
            page = await self.log.page(since, limit, self._run_id)
            self._apply(page)
            is_part = page.status == "part"

    async def recover(
        self, since: Position, limit: int, pattern: str = "", *, most_pages: int = RECOVERY_PAGES
    ) -> LogPage:
        """Return what followed ``since``, up to what the listeners have or will get: ``limit`` messages.

        With a ``pattern``, only what it covers. A caller that registers a listener without awaiting in between
        misses nothing if it skips messages up to ``page.top``. There is no round trip if this process remembers far
        enough back; it reads the newest messages of the log once for all callers.
        """
        remembered = self.recent.since(since, self.position)
        if remembered is None:
            await self._read_back()
            remembered = self.recent.since(since, self.position)
        if remembered is not None:
            return _bounded(remembered, self.position, limit, pattern)
        page = await self._read_after(since, limit, pattern, most_pages)
        if (
            not page.recovered
            or page.top.epoch != self.position.epoch
            or page.top.offset >= self.position.offset
        ):
            return page
        later = self.recent.since(page.top, self.position)
        if later is None:
            return _lost(self.position)
        return _bounded([*page.messages, *later], self.position, limit, pattern)

    async def _read_after(self, since: Position, limit: int, pattern: str, most_pages: int) -> LogPage:
        messages: list[BusMessage] = []
        read_bytes = 0
        for _ in range(most_pages):
            left = limit - len(messages)
            page = await self.log.page(since, left, pattern=pattern)
            messages += page.messages
            read_bytes += page.read_bytes
            if page.status != "part":
                return dataclasses.replace(page, messages=tuple(messages), read_bytes=read_bytes)
            since = page.reached
        return dataclasses.replace(_lost(page.top), read_bytes=read_bytes)

    async def _read_back(self) -> None:
        async with self._reading_back:
            if not self.recent.is_read_back:
                page = await self.log.page(None, RECENT_MESSAGES)
                self.recent.read_back(page.messages, self.position)

    def _apply(self, page: LogPage) -> None:
        if self.cursor is None:
            self.cursor = HeadCursor(page.top)
        elif page.recovered or page.status == "part":
            for message in page.messages:
                if self.cursor.advance(message) is MessageOrder.NEXT:
                    self._hand_on(message)
        else:
            self.cursor.move(page.top)
            self.recent.forget()
            self._tell(lambda listener: listener.on_loss(page.top, page.status))

    def _hand_on(self, message: BusMessage) -> None:
        self.recent.add(message)
        self._tell(lambda listener: listener.on_message(message))

    def tell_reconnect(self) -> None:
        """Tell the listeners that presence and typing events may have been missed."""
        self._tell(lambda listener: listener.on_reconnect())

    def _tell(self, call: Callable[[FeedListener], None]) -> None:
        for listener in list(self.listeners):
            try:
                call(listener)
            except Exception:
                # An error in one listener must neither keep the message from the others nor end the bus.
                logger.exception("A listener of head %s failed.", self.log.head)


def _lost(top: Position) -> LogPage:
    return LogPage(top=top, status="limit", messages=(), reached=top)


def _bounded(messages: Sequence[BusMessage], top: Position, limit: int, pattern: str) -> LogPage:
    wanted = [each for each in messages if not pattern or covers(pattern, each.channel)]
    if len(wanted) > limit:
        return _lost(top)
    return LogPage(top=top, status="complete", messages=tuple(wanted), reached=top)
