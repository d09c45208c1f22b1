"""One head of one product as a process follows it: in order, repaired, with the newest messages at hand."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol

from pleme_redis_django.redis_state.cursor import HeadCursor, Step
from pleme_redis_django.redis_state.message_log import REPAIR_LIMIT, LogPage, aread_log
from pleme_redis_django.redis_state.messages import BusMessage, Position

RING_MESSAGES = 256
RING_CHARACTERS = 1024 * 1024
# Beyond this a repair in progress starts again from the log, which has these messages anyway.
MOST_WAITING = 10_000


logger = logging.getLogger("pleme_redis_django.bus")


class FeedListener(Protocol):
    """What a feed tells, on its event loop; none of it may block; what it raises is logged."""

    def on_message(self, message: BusMessage) -> None:
        """Take the next message, in order; presence and typing come as they are."""

    def on_loss(self, position: Position, reason: str) -> None:
        """Learn that messages before ``position`` are lost; ``reason`` as in ``Resync``."""

    def on_reconnect(self) -> None:
        """Learn that presence and typing events may have been missed."""


class HeadFeed:
    """The messages of one head, numbered without a gap, for every listener of this event loop."""

    def __init__(self, product: str, head: str) -> None:
        self.product = product
        self.head = head
        self.listeners: list[FeedListener] = []
        self.live = asyncio.Event()
        self.cursor: HeadCursor | None = None
        self._ring: deque[BusMessage] = deque()
        self._ring_characters = 0
        self._waiting: list[BusMessage] = []
        self._is_catching_up = False
        self._is_stale = False
        self._run_id = ""

    @property
    def position(self) -> Position:
        """The last message that was handed on; only once ``live``."""
        assert self.cursor is not None, "the feed is not live yet"
        return self.cursor.position

    def take(self, message: BusMessage) -> bool:
        """Hand on a message from the bus; return False when a gap calls for ``catch_up``."""
        if not message.epoch:
            self._tell(lambda listener: listener.on_message(message))
            return True
        if self._is_catching_up or self.cursor is None:
            if len(self._waiting) < MOST_WAITING:
                self._waiting.append(message)
            return True
        step = self.cursor.step(message)
        if step is Step.NEXT:
            self._hand_on(message)
        return step is not Step.GAP

    async def catch_up(self, run_id: str = "") -> None:
        """Read from the log what the bus did not bring, and hand it on, or tell the loss.

        Raises RedisUnavailable; the feed is then as it was, and another call goes on.
        """
        self._run_id = run_id or self._run_id
        self._is_stale = True
        if self._is_catching_up:
            return
        self._is_catching_up = True
        try:
            while self._is_stale:
                # Whoever calls meanwhile knows of a loss that this read may have come too early for.
                self._is_stale = False
                await self._read_once()
        finally:
            self._is_catching_up = False
        waiting, self._waiting = self._waiting, []
        self.live.set()
        gaps = [message for message in waiting if not self.take(message)]
        if gaps:
            await self.catch_up()

    async def _read_once(self) -> None:
        since = self.cursor.position if self.cursor else None
        limit = REPAIR_LIMIT if since else 0
        self._apply(await aread_log(self.product, self.head, since, limit, self._run_id))

    async def recover(self, since: Position, limit: int) -> LogPage:
        """Return what followed ``since``, up to what the listeners have or will get.

        A caller that registers a listener without awaiting in between misses nothing when it skips
        messages up to ``page.top``. No round trip while this process remembers far enough back.
        """
        remembered = self._remembered(since)
        if remembered is not None:
            return _bounded(remembered, self.position, limit)
        page = await aread_log(self.product, self.head, since, limit)
        if (
            not page.recovered
            or page.top.epoch != self.position.epoch
            or page.top.offset >= self.position.offset
        ):
            return page
        later = self._remembered(page.top)
        if later is None:
            return LogPage(top=self.position, status="limit", messages=())
        return _bounded([*page.messages, *later], self.position, limit)

    def _remembered(self, since: Position) -> list[BusMessage] | None:
        if since.epoch != self.position.epoch or since.offset > self.position.offset:
            return None
        if since == self.position:
            return []
        if not self._ring or self._ring[0].offset > since.offset + 1:
            return None
        return [message for message in self._ring if message.offset > since.offset]

    def _apply(self, page: LogPage) -> None:
        if self.cursor is None:
            self.cursor = HeadCursor(page.top)
        elif page.recovered:
            for message in page.messages:
                if self.cursor.step(message) is Step.NEXT:
                    self._hand_on(message)
        else:
            self.cursor.move(page.top)
            self._forget()
            self._tell(lambda listener: listener.on_loss(page.top, page.status))

    def _hand_on(self, message: BusMessage) -> None:
        self._ring.append(message)
        self._ring_characters += len(message.frame)
        while len(self._ring) > RING_MESSAGES or self._ring_characters > RING_CHARACTERS:
            self._ring_characters -= len(self._ring.popleft().frame)
        self._tell(lambda listener: listener.on_message(message))

    def tell_reconnect(self) -> None:
        """Tell the listeners that presence and typing events may have been missed."""
        self._tell(lambda listener: listener.on_reconnect())

    def _tell(self, call: Callable[[FeedListener], None]) -> None:
        for listener in list(self.listeners):
            try:
                call(listener)
            except Exception:
                # One listener's fault must neither hide the message from the others nor end the bus.
                logger.exception("A listener of head %s failed.", self.head)

    def _forget(self) -> None:
        self._ring.clear()
        self._ring_characters = 0


def _bounded(messages: list[BusMessage], top: Position, limit: int) -> LogPage:
    if len(messages) > limit:
        return LogPage(top=top, status="limit", messages=())
    return LogPage(top=top, status="complete", messages=tuple(messages))
