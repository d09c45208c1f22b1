"""The hub of an event loop: it holds the sockets, and drives what keeps them alive.

It opens with the first socket and closes with the last. It keeps nothing that another process needs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import time
from functools import cache

from pleme_redis_django.conf import get_settings
from pleme_redis_django.realtime.allowance import Clock
from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.realtime.connection import Connection
from pleme_redis_django.realtime.control_listener import ControlListener
from pleme_redis_django.realtime.heads import Heads
from pleme_redis_django.realtime.loop_work import LoopWork
from pleme_redis_django.realtime.open_sockets import OpenSockets
from pleme_redis_django.realtime.presence_keeper import PresenceKeeper
from pleme_redis_django.realtime.quotas import UserQuotas
from pleme_redis_django.realtime.revalidation import Revalidator
from pleme_redis_django.redis_state.presence.sweep import PresenceSweeper
from pleme_redis_django.redis_state.pubsub.bus import bus
from pleme_redis_django.redis_state.server.cancellation import end
from pleme_redis_django.redis_state.server.loop_registry import LoopRegistry

TICK_SECONDS = 0.5

logger = logging.getLogger("pleme_redis_django.hub")


class Hub:
    """For one event loop and its thread; get it with ``hub()``."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self.clock = clock
        self.work = LoopWork(clock)
        self.sockets = OpenSockets()
        self.heads = Heads(bus())
        self.quotas = UserQuotas(clock)
        self.presence = PresenceKeeper(
            self.connections, self.heads, PresenceSweeper(_holder(), clock=clock), self.work
        )
        self.revalidator = Revalidator(self.connections, self.heads, self.presence, self.work)
        self.control = ControlListener(bus(), self.sockets, self.revalidator, self.work)
        self._ticker: asyncio.Task[None] | None = None

    @property
    def connections(self) -> dict[str, Connection]:
        return self.sockets.by_id

    def open(self, connection: Connection) -> None:
        self.sockets.add(connection)
        if self._ticker is None:
            self.revalidator.begin(self.clock())
            self._ticker = asyncio.get_running_loop().create_task(self._run())
            self.control.begin()
        self.control.obey_late(connection)
        too_many = self.sockets.one_too_many(connection)
        if too_many is not None:
            too_many.close(CloseCode.OVERLOAD, "too many sockets without a connect command")

    async def close(self, connection: Connection) -> None:
        """Remove a socket and everything it listened to; its presence ends after the grace."""
        if not self.sockets.remove(connection):
            return
        for pattern in list(connection.listening.subscriptions):
            await self.heads.unsubscribe(connection, pattern)
        rooms = dict(connection.listening.rooms)
        for room in rooms:
            await self.heads.unwatch(connection, room)
        if connection.is_someone_online:
            self.work.start(self.presence.leave_all(connection, rooms))
        if not self.connections:
            await self._close()

    async def settle(self) -> None:
        """Wait for what runs beside the sockets."""
        await self.work.settle()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311 - jitter
            self.work.tick()
            try:
                self._tend(self.clock())
            except Exception:
                # Without this task, no socket of the process would be pinged, kept online or checked.
                logger.exception("A tick of the hub failed.")

    def _tend(self, now: float) -> None:
        for connection in list(self.connections.values()):
            self._look_at(connection, now)
        self.presence.tick(now)
        self.revalidator.tick(now)
        self.quotas.clean(now)

    def _look_at(self, connection: Connection, now: float) -> None:
        if connection.outbox.is_gone and not connection.is_busy:
            # The server may tell the consumer late, and nobody is there meanwhile.
            self.work.start(self.close(connection))
        if connection.is_closing:
            return
        if connection.appearance.is_outdated:
            self.work.start(self.presence.settle_idle(connection))
        connection.keep_time(now)

    async def _close(self) -> None:
        ticker, self._ticker = self._ticker, None
        try:
            # First, and without a yield before its handler is removed: a socket that comes meanwhile begins anew,
            # and what it began must not be ended here.
            await self.control.end()
        finally:
            if ticker is not None:
                await end({ticker})
            self.work.tick()  # whoever waits for the next tick would wait for the next socket


@cache
def _token() -> str:
    return secrets.token_hex(8)


def _holder() -> str:
    """Return the name under which this process takes its turn to sweep, in all its hubs, one after the other."""
    return f"web-{os.getpid()}-{_token()}"


_hubs: LoopRegistry[str | None, Hub] = LoopRegistry()


def hub(clock: Clock = time.monotonic) -> Hub:
    """Return the running event loop's hub for the configured Redis; ``clock`` is for the first call."""
    return _hubs.get(get_settings().url, lambda: Hub(clock))
