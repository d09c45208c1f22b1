"""One websocket as its process sees it: who it is, what it listens to, and what waits to be sent.

Sending never waits for the client. What is pushed is queued, and sent by the hub's next flush; a client
that does not read gets a bounded queue, then a ``resync`` in place of what was dropped, then a close.
"""

from __future__ import annotations

import asyncio
import logging
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any

from pleme_redis_django.realtime import frames
from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.realtime.limits import Limits, TokenBucket
from pleme_redis_django.realtime.sessions import login_session_key

if TYPE_CHECKING:
    from pleme_redis_django.realtime.hub import Hub

REFUSALS_FORGOTTEN_SECONDS = 600.0

logger = logging.getLogger("pleme_redis_django.connection")

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Connection:
    """Made by a consumer, kept by the hub of its event loop; not for other threads."""

    __slots__ = (
        "__weakref__",
        "_characters",
        "_hub",
        "_is_dirty",
        "_is_lossy",
        "_looks",
        "_queue",
        "_send",
        "blocked_since",
        "bucket",
        "close_code",
        "heard_at",
        "id",
        "idle_set_at",
        "is_busy",
        "is_gone",
        "is_idle",
        "is_registered",
        "judged",
        "limits",
        "metadata",
        "opened_at",
        "pinged_at",
        "product",
        "refusals",
        "rooms",
        "scope",
        "session_key",
        "subscriptions",
        "unheard",
        "user_id",
        "wants_idle",
    )

    def __init__(
        self,
        hub: Hub,
        scope: dict[str, Any],
        send: Send,
        limits: Limits,
        connection_id: str,
        *,
        began_at: float | None = None,
    ) -> None:
        now = asyncio.get_running_loop().time()
        self.id = connection_id
        self.scope = scope
        self.product: str = scope["product"]
        self.limits = limits
        user = scope["user"]
        self.user_id: str | None = str(user.pk) if user.is_authenticated else None
        self.session_key = login_session_key(scope, self.user_id)
        """The session that logged the user in: the socket ends with it."""
        self.judged = 0
        """How often user, session and product were looked at again: a permission is as old as this number."""
        self.metadata: dict[str, dict[str, Any]] = {}
        """Room -> what the connection says of itself there."""
        self.subscriptions: dict[str, None] = {}
        self.rooms: dict[str, bool] = {}
        """Room -> whether the connection joined it, or only watches."""
        self.is_registered = False
        self.is_idle = self.wants_idle = False
        """Whether it is shown as idle, and whether it said that it is."""
        self.idle_set_at = float("-inf")
        self.bucket = TokenBucket(limits.commands_per_second)
        self.refusals = TokenBucket(limits.refusals / REFUSALS_FORGOTTEN_SECONDS, limits.refusals)
        self.opened_at = now if began_at is None else began_at
        self.heard_at = now
        self.pinged_at: float | None = None
        self.blocked_since: float | None = None
        self.unheard = 0
        self.close_code: CloseCode | None = None
        self.is_busy = False
        """Whether one of its commands runs."""
        self.is_gone = False
        self._hub = hub
        self._send = send
        self._queue: list[str] = []
        self._characters = 0
        self._is_dirty = False
        self._is_lossy = False
        self._looks = 0

    @property
    def is_someone_online(self) -> bool:
        """Tell whether it keeps a user online: one of a product, which a dashboard's socket has not."""
        return self.is_registered and self.user_id is not None and self.product != ""

    @property
    def is_closing(self) -> bool:
        """Tell whether nothing more is sent."""
        return self.is_gone or self.close_code is not None

    def begin_look(self) -> int:
        """Return the number of a look at user and session that begins now."""
        self._looks += 1
        return self._looks

    def is_newest_look(self, look: int) -> bool:
        """Tell whether what a look found still counts: one that began later loaded what is newer."""
        return look == self._looks and not self.is_closing

    def become(self, user: Any, session: Any) -> None:
        """Be asked about from now on with user and session as they are stored now."""
        self.scope["user"] = user
        if session is not None:
            self.scope["session"] = session
        self.judged += 1

    def push(self, text: str) -> None:
        """Queue a push; past the limits it is dropped, and the client will be told to resync."""
        if (
            len(self._queue) >= self.limits.buffered_pushes
            or self._characters > self.limits.buffered_characters
        ):
            self._is_lossy = True
            return
        self.queue(text)

    def queue(self, text: str) -> None:
        """Queue what may not be dropped: a reply, a ping, a resync."""
        self._queue.append(text)
        self._characters += len(text)
        if not self._is_dirty:
            self._is_dirty = True
            self._hub.flush_soon(self)

    def heard(self) -> None:
        """Note that the client sent something."""
        self.heard_at = asyncio.get_running_loop().time()
        self.pinged_at = None
        if self.unheard > self.limits.unheard_characters:
            self._hub.flush_soon(self)
        self.unheard = 0

    def ping(self) -> None:
        """Ask the client for a sign of life."""
        self.pinged_at = asyncio.get_running_loop().time()
        self.queue(frames.PING)

    def close(self, code: CloseCode, why: str) -> None:
        """Say goodbye and close; what waits is dropped. The consumer hears of it as of any disconnect."""
        if not self.is_closing:
            self.close_code = code
            self._queue.clear()
            self._hub.start(self._say_goodbye(code, why))

    @property
    def is_backed_up(self) -> bool:
        """Tell whether half of the queue is in use: no new command before its replies can leave."""
        return self._characters > self.limits.buffered_characters // 2 and not self.is_closing

    def grow_older(self, seconds: float) -> None:
        """Let the timers be ``seconds`` further on."""
        self.opened_at -= seconds
        self.heard_at -= seconds
        if self.pinged_at is not None:
            self.pinged_at -= seconds
        if self.blocked_since is not None:
            self.blocked_since -= seconds

    # Sending: called by the hub's flush

    def flush(self) -> None:
        """Send what waits as one frame, unless an earlier send still waits for the client."""
        if self.blocked_since is not None or self.is_closing or not self._queue:
            self._is_dirty = False
            return
        if self.unheard > self.limits.unheard_characters:
            # Servers that never wait (daphne) hold what the client does not read: stop until it answers.
            # What is held stays marked as dirty; heard() flushes it.
            if self.pinged_at is None:
                self._ping_past_the_queue()
            return
        if self.unheard + self._characters > self.limits.unheard_characters // 2 and self.pinged_at is None:
            # With what it follows: queued behind, it could be held with what waits for its answer.
            self.ping()
        text = self._queue[0] if len(self._queue) == 1 else "\n".join(self._queue)
        self._queue.clear()
        self._characters = 0
        self._is_dirty = False
        self.unheard += len(text)
        self._step(self._send({"type": "websocket.send", "text": text}))
        if self._is_lossy and self.blocked_since is None:
            self._is_lossy = False
            self._hub.tell_loss(self)

    def _ping_past_the_queue(self) -> None:
        self.pinged_at = asyncio.get_running_loop().time()
        self._step(self._send({"type": "websocket.send", "text": frames.PING}))

    def _step(self, sending: Awaitable[None]) -> None:
        """Run a send up to its first real wait. Most never wait, and then cost no task and no switch."""
        coroutine = sending if isinstance(sending, Coroutine) else _awaited(sending)
        try:
            waits_for = coroutine.send(None)
        except StopIteration:
            return
        except Exception:
            self._hub.gone(self)
            return
        self.blocked_since = asyncio.get_running_loop().time()
        self._hub.start(self._finish(coroutine, waits_for))

    async def _finish(self, coroutine: Coroutine[Any, Any, None], waits_for: Any) -> None:
        try:
            await _resumed(coroutine, waits_for)
        except Exception:
            self._hub.gone(self)
        finally:
            self.blocked_since = None
        if self._queue:
            self._hub.flush_soon(self)
        elif self._is_lossy:
            self._is_lossy = False
            self._hub.tell_loss(self)

    async def _say_goodbye(self, code: CloseCode, why: str) -> None:
        try:
            async with asyncio.timeout(self.limits.send_timeout_seconds):
                if self.blocked_since is None:
                    await self._send({"type": "websocket.send", "text": frames.bye(code, why)})
                await self._send({"type": "websocket.close", "code": int(code), "reason": why[:100]})
        except Exception:
            logger.debug("A client did not hear that it was closed with %d.", code, exc_info=True)
        self._hub.gone(self)


async def _awaited(awaitable: Awaitable[None]) -> None:
    await awaitable


@types.coroutine
def _resumed(coroutine: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, Any, None]:
    """Go on with a coroutine that was stepped to ``waits_for``, inside the awaiting task."""
    while True:
        try:
            try:
                value = yield waits_for
            except BaseException as error:
                waits_for = coroutine.throw(error)
            else:
                waits_for = coroutine.send(value)
        except StopIteration:
            return
