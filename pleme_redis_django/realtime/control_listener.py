"""ControlListener: receives the orders to the sockets of this process, and carries them out."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from pleme_redis_django.exceptions import RedisUnavailable
from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.realtime.connection import Connection
from pleme_redis_django.realtime.control import Control, akept_controls, parse_control
from pleme_redis_django.realtime.loop_work import LoopWork
from pleme_redis_django.redis_state.pubsub.handled_channels import ControlHandler
from pleme_redis_django.redis_state.server import keyspace

LOADED_BEFORE_SECONDS = 10.0
"""How long before a socket reached its hub the middleware around it may have loaded its user."""

logger = logging.getLogger("pleme_redis_django.hub")


class Channels(Protocol):
    """Where a channel of Redis is listened to: the bus."""

    def listen(
        self, name: str, handler: ControlHandler, *, on_confirmed: Callable[[], None] | None = None
    ) -> None: ...
    async def unlisten(self, name: str, handler: ControlHandler) -> None: ...


class Sockets(Protocol):
    """Who knows which sockets an order is for."""

    def concerned_by(self, control: Control) -> Iterable[Connection]: ...


class LooksAgain(Protocol):
    """Who looks at sockets again when they may have lost a right."""

    def look_at(self, connections: Iterable[Connection]) -> None: ...
    def look_at_all(self) -> None: ...


class ControlListener:
    """Kept by a hub; listens while there are sockets."""

    def __init__(self, channels: Channels, sockets: Sockets, revalidator: LooksAgain, work: LoopWork) -> None:
        self._channels = channels
        self._sockets = sockets
        self._revalidator = revalidator
        self._work = work
        self._heard: deque[tuple[float, Control]] = deque(maxlen=1000)
        self._moments: dict[bytes, float] = {}
        """When each kept order was given at the latest, as far as was ever read."""
        self._is_listening = False
        self._was_confirmed = False

    def begin(self) -> None:
        """Listen from now on."""
        self._is_listening = True
        self._was_confirmed = False
        self._channels.listen(keyspace.control_bus(), self._on_control, on_confirmed=self._on_confirmed)

    async def end(self) -> None:
        self._is_listening = False
        await self._channels.unlisten(keyspace.control_bus(), self._on_control)

    def obey_late(self, connection: Connection) -> None:
        """Apply to a socket that was just let in what was ordered while it was on its way."""
        for moment, control in reversed(self._heard):
            if moment + LOADED_BEFORE_SECONDS < connection.opened_at:
                break
            if connection.is_meant_by(control):
                self._obey(control, [connection], moment)

    def _on_control(self, raw: bytes) -> None:
        control = parse_control(raw)
        if control is not None:
            now = self._work.clock()
            self._heard.append((now, control))
            self._obey(control, self._sockets.concerned_by(control), now)

    def _on_confirmed(self) -> None:
        """Catch up on the orders that were sent while nothing was received."""
        if self._was_confirmed:
            self._revalidator.look_at_all()
        self._was_confirmed = True
        self._work.start(self._obey_kept())

    async def _obey_kept(self) -> None:
        while True:
            try:
                kept = await akept_controls(self._work.clock)
                break
            except RedisUnavailable as error:
                if not self._is_listening:
                    return
                logger.warning("The missed orders cannot be read yet: %s", error)
                await self._work.next_tick()
        # A late reply makes an order look younger than it is: the earliest that was read of it is the nearest.
        # Else a socket that was let in after an order would be closed by it when it is read once more.
        known = self._moments
        self._moments = {
            order.entry_id: min(order.moment, known.get(order.entry_id, order.moment)) for order in kept
        }
        for order in kept:
            moment = self._moments[order.entry_id]
            self._obey(order.control, self._sockets.concerned_by(order.control), moment)

    def _obey(self, control: Control, concerned: Iterable[Connection], moment: float) -> None:
        """Apply what was ordered at ``moment`` to the sockets that were open then.

        A user who opened one later has logged in again, or was let in by what was loaded just before.
        """
        to_look_at = []
        for connection in concerned:
            if control.operation == "close" and connection.opened_at <= moment:
                connection.close(CloseCode(control.code), control.why)
            elif connection.opened_at <= moment + LOADED_BEFORE_SECONDS:
                to_look_at.append(connection)
        self._revalidator.look_at(to_look_at)
