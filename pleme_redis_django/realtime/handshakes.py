"""How many sockets a process lets in at once: the others queue for a moment, or come back later.

After a deploy, thousands of clients return together, and each has to be looked up in the database. Without a
queue of their own they would delay everything else that uses a thread, and all of them would be late.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from channels.auth import AuthMiddleware, get_user

from pleme_redis_django.exceptions import PlemeError
from pleme_redis_django.realtime import frames
from pleme_redis_django.realtime.authorization import OUTAGES
from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.realtime.database_threads import call_for_identity
from pleme_redis_django.realtime.limits import get_limits
from pleme_redis_django.redis_state.server.loop_registry import LoopRegistry

REPORT_SECONDS = 60.0

logger = logging.getLogger("pleme_redis_django.handshakes")


class TooManyHandshakes(PlemeError):
    """A socket has queued as long as it may."""


_places: LoopRegistry[int, asyncio.Semaphore] = LoopRegistry()
_reported_at = float("-inf")


@asynccontextmanager
async def place_in_turn() -> AsyncIterator[None]:
    """Hold one of the places in which users, sessions and products are loaded, first come, first served.

    Raises TooManyHandshakes when none becomes free within ``handshake_wait_seconds``.
    """
    limits = get_limits()
    places = _places.get(limits.handshakes, lambda: asyncio.Semaphore(limits.handshakes))
    try:
        async with asyncio.timeout(limits.handshake_wait_seconds):
            await places.acquire()
    except TimeoutError:
        _report()
        raise TooManyHandshakes from None
    try:
        yield
    finally:
        places.release()


class QueuedAuthMiddleware(AuthMiddleware):  # type: ignore[misc]  # channels is untyped
    """Channels' AuthMiddleware, but users are not loaded in the one thread that the process shares."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        scope = dict(scope)
        self.populate_scope(scope)
        try:
            async with place_in_turn():
                scope["user"]._wrapped = await call_for_identity(get_user.func, scope)
        except TooManyHandshakes:
            await _refuse(scope, send, "too many sockets at once")
        except OUTAGES as error:
            logger.warning("A socket has to come back later: %s", error)
            await _refuse(scope, send, "the service is not available")
        else:
            return await self.inner(scope, receive, send)


async def _refuse(scope: Any, send: Any, why: str) -> None:
    """Accept, then close with a code: a script sees no code of a refusal before the accept."""
    offered = scope.get("subprotocols", [])
    accepted = frames.SUBPROTOCOL if frames.SUBPROTOCOL in offered else None
    await send({"type": "websocket.accept", "subprotocol": accepted})
    await send_refusal(send, CloseCode.OVERLOAD, why)


async def send_refusal(send: Any, code: CloseCode, why: str) -> None:
    """Close a socket that was accepted, and say why."""
    await send({"type": "websocket.send", "text": frames.bye(code, why)})
    await send({"type": "websocket.close", "code": int(code), "reason": why[:100]})


def _report() -> None:
    """Log it at most once a minute: it happens to thousands at once."""
    global _reported_at
    if time.monotonic() - _reported_at >= REPORT_SECONDS:
        _reported_at = time.monotonic()
        limits = get_limits()
        logger.warning(
            "Sockets are told to come back later: %d handshakes at once kept others waiting for %d s.",
            *(limits.handshakes, limits.handshake_wait_seconds),
        )
