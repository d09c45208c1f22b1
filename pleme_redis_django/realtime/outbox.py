"""Outbox: what waits to be sent to one socket.

Sending never waits for the client. What is pushed is queued, and sent at the end of the loop's turn; a client
that does not read gets a bounded queue, then a ``resync`` in place of what was dropped, then a close.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable
from typing import Protocol

from pleme_redis_django.realtime import frames, sends
from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.realtime.limits import ClientLimits
from pleme_redis_django.realtime.loop_work import LoopWork
from pleme_redis_django.realtime.pulse import Pulse
from pleme_redis_django.realtime.sends import Send

logger = logging.getLogger("pleme_redis_django.connection")


class Losses(Protocol):
    """Who knows what a client has missed."""

    def resyncs(self) -> Iterable[str]: ...


class Outbox:
    """Owned by a connection; flushed by the work of its event loop."""

    __slots__ = (
        "_characters",
        "_is_dirty",
        "_is_lossy",
        "_limits",
        "_losses",
        "_queue",
        "_send",
        "_work",
        "blocked_since",
        "close_code",
        "is_gone",
        "pulse",
    )

    def __init__(self, send: Send, limits: ClientLimits, losses: Losses, work: LoopWork) -> None:
        self.pulse = Pulse(work.clock)
        self.blocked_since: float | None = None
        """Since when a send has been waiting for the client."""
        self.close_code: CloseCode | None = None
        self.is_gone = False
        self._send = send
        self._limits = limits
        self._losses = losses
        self._work = work
        self._queue: list[str] = []
        self._characters = 0
        self._is_dirty = False
        self._is_lossy = False

    @property
    def is_closing(self) -> bool:
        """Whether nothing more is sent."""
        return self.is_gone or self.close_code is not None

    @property
    def is_backed_up(self) -> bool:
        """Whether half of the queue is in use: then no command runs until its replies can be sent."""
        return self._characters > self._limits.buffered_characters // 2 and not self.is_closing

    def push(self, text: str) -> None:
        """Queue a push; past the limits it is dropped, and the client will be told to resync."""
        limits = self._limits
        if len(self._queue) >= limits.buffered_pushes or self._characters > limits.buffered_characters:
            self._is_lossy = True
            return
        self.queue(text)

    def queue(self, text: str) -> None:
        """Queue what may not be dropped: a reply, a ping, a resync."""
        self._queue.append(text)
        self._characters += len(text)
        if not self._is_dirty:
            self._is_dirty = True
            self._work.flush_soon(self)

    def heard(self) -> None:
        """Note that the client sent something; what was held back can be sent now."""
        if self.pulse.unheard > self._limits.unheard_characters:
            self._work.flush_soon(self)
        self.pulse.heard()

    def ping(self) -> None:
        """Ask the client for a sign of life."""
        self.pulse.pinged()
        self.queue(frames.PING)

    def gone(self) -> None:
        """Note that nothing can be sent any more; the server tells the consumer."""
        self.is_gone = True

    def close(self, code: CloseCode, why: str) -> None:
        """Say goodbye and close; what waits is dropped. The consumer gets the disconnect as usual."""
        if not self.is_closing:
            self.close_code = code
            self._queue.clear()
            self._work.start(self._say_goodbye(code, why))

    def flush(self) -> None:
        """Send what waits as one frame, unless an earlier send still waits for the client."""
        if self.blocked_since is not None or self.is_closing or not self._queue:
            self._is_dirty = False
            return
        pulse, most_unheard = self.pulse, self._limits.unheard_characters
        if pulse.unheard > most_unheard:
            # Servers that never wait (daphne) buffer what the client does not read: stop until it answers.
            # What is held back stays marked as dirty; heard() flushes it.
            if pulse.pinged_at is None:
                self._ping_past_the_queue()
            return
        if pulse.unheard + self._characters > most_unheard // 2 and pulse.pinged_at is None:
            # In the same frame: queued later, it could be held back with what waits for its answer.
            self.ping()
        text = self._queue[0] if len(self._queue) == 1 else "\n".join(self._queue)
        self._queue.clear()
        self._characters = 0
        self._is_dirty = False
        pulse.unheard += len(text)
        self._begin(self._send({"type": "websocket.send", "text": text}))
        if self._is_lossy and self.blocked_since is None:
            self._tell_loss()

    def _ping_past_the_queue(self) -> None:
        self.pulse.pinged()
        self._begin(self._send({"type": "websocket.send", "text": frames.PING}))

    def _begin(self, sending: Awaitable[None]) -> None:
        try:
            rest = sends.begin(sending)
        except Exception:
            self.is_gone = True
            return
        if rest is not None:
            self.blocked_since = self._work.clock()
            self._work.start(self._finish(rest))

    async def _finish(self, rest: Awaitable[None]) -> None:
        try:
            await rest
        except Exception:
            self.is_gone = True
        finally:
            self.blocked_since = None
        if self._queue:
            self._work.flush_soon(self)
        elif self._is_lossy:
            self._tell_loss()

    def _tell_loss(self) -> None:
        """Tell a slow client that reads again that it missed something."""
        self._is_lossy = False
        for text in self._losses.resyncs():
            self.queue(text)

    async def _say_goodbye(self, code: CloseCode, why: str) -> None:
        try:
            async with asyncio.timeout(self._limits.send_timeout_seconds):
                if self.blocked_since is None:
                    await self._send({"type": "websocket.send", "text": frames.bye(code, why)})
                await self._send({"type": "websocket.close", "code": int(code), "reason": why[:100]})
        except Exception:
            logger.debug("A client did not hear that it was closed with %d.", code, exc_info=True)
        self.is_gone = True
