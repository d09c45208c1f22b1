"""The one hub of a process and event loop: it holds the sockets, follows the heads that they listen to,
extends their presence in one call per product, pings them, and looks whether they may still be there.

It opens with the first socket and closes with the last. It keeps nothing that another process needs.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Coroutine, Iterable
from typing import Any

from pleme_redis_django.conf import get_settings
from pleme_redis_django.exceptions import PlemeError, RedisUnavailable
from pleme_redis_django.realtime import frames
from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.realtime.connection import Connection
from pleme_redis_django.realtime.control import Control, akept_controls, parse_control
from pleme_redis_django.realtime.head_routes import HeadRoutes
from pleme_redis_django.realtime.limits import Limits, TokenBucket
from pleme_redis_django.realtime.presence_keeper import PresenceKeeper
from pleme_redis_django.realtime.revalidation import Revalidator
from pleme_redis_django.redis_state.names import head_of
from pleme_redis_django.redis_state.pubsub.bus import bus
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.cancellation import end
from pleme_redis_django.redis_state.server.loop_registry import LoopRegistry

TICK_SECONDS = 0.5
BUCKETS_SECONDS = 60.0
IDLE_SECONDS = 1.0
LOADED_BEFORE_SECONDS = 10.0
"""How long before a socket reached this hub its user may have been loaded: by the middleware around it."""

logger = logging.getLogger("pleme_redis_django.hub")


class Hub:
    """Not for other threads or loops; get it with ``hub()``."""

    def __init__(self) -> None:
        self.connections: dict[str, Connection] = {}
        self.presence = PresenceKeeper(self)
        self.revalidator = Revalidator(self)
        self._by_user: dict[str | None, dict[Connection, None]] = {}
        self._silent: dict[Connection, None] = {}
        """Anonymous sockets that have not said ``connect``, the oldest first."""
        self._orders: deque[tuple[float, Control]] = deque(maxlen=1000)
        self._was_confirmed = False
        self._heads: dict[tuple[str, str], HeadRoutes] = {}
        self._buckets: dict[tuple[str, str], TokenBucket] = {}
        self._buckets_cleaned_at = 0.0
        self._dirty: list[Connection] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ticker: asyncio.Task[None] | None = None
        self._tick = asyncio.Event()
        self._bus = bus()

    # Sockets

    def open(self, connection: Connection) -> None:
        """Take in a socket that was accepted."""
        self.connections[connection.id] = connection
        self._by_user.setdefault(connection.user_id, {})[connection] = None
        if self._ticker is None:
            loop = asyncio.get_running_loop()
            self.revalidator.begin(loop.time())
            self._was_confirmed = False
            self._ticker = loop.create_task(self._run())
            self._bus.listen(keyspace.control_bus(), self._on_control, on_confirmed=self._on_confirmed)
        for moment, control in reversed(self._orders):
            if moment + LOADED_BEFORE_SECONDS < connection.opened_at:
                break
            if control.concerns(connection):
                self._obey(control, [connection], moment)
        self._refuse_idle_sockets(connection)

    async def close(self, connection: Connection) -> None:
        """Let a socket go, with all it listened to; its presence ends after the grace."""
        if self.connections.pop(connection.id, None) is None:
            return
        _forget(self._by_user, connection)
        self._silent.pop(connection, None)
        for pattern in list(connection.subscriptions):
            await self.unsubscribe(connection, pattern)
        rooms = dict(connection.rooms)
        for room in rooms:
            await self.unwatch(connection, room)
        if connection.is_someone_online:
            self.start(self.presence.leave_all(connection, rooms))
        if not self.connections:
            await self._close()

    def _refuse_idle_sockets(self, connection: Connection) -> None:
        """Close one when too many are open that have not said ``connect``: they count nowhere else.

        Of a user's the newest. Of the anonymous the oldest, since nobody knows whose they are, and who means
        well says it at once.
        """
        too_many: Connection | None = None
        if connection.user_id is None:
            self._silent[connection] = None
            if len(self._silent) > connection.limits.silent_anonymous:
                too_many = next(iter(self._silent))
                del self._silent[too_many]
        else:
            waiting = sum(not each.is_registered for each in self.of_user(connection.user_id))
            if waiting > connection.limits.connections_per_user:
                too_many = connection
        if too_many is not None:
            too_many.close(CloseCode.OVERLOAD, "too many sockets without a connect command")

    def register(self, connection: Connection) -> None:
        """Note that a socket said ``connect``, or need not."""
        connection.is_registered = True
        self._silent.pop(connection, None)

    def gone(self, connection: Connection) -> None:
        """Note that nothing can be sent any more; the consumer will hear of it from the server."""
        connection.is_gone = True

    def of_user(self, user_id: str) -> list[Connection]:
        """Return the sockets of a user in this process, in every product."""
        return list(self._by_user.get(user_id, ()))

    def user_bucket(self, connection: Connection, limits: Limits) -> TokenBucket:
        """Return what all sockets of a user draw their commands from; one's own for the anonymous."""
        if connection.user_id is None:
            return connection.bucket
        key = (connection.product, connection.user_id)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(limits.user_commands_per_second)
        return bucket

    def charge(self, connection: Connection, cost: float) -> None:
        """Let a connection and its user pay for what a command caused, beyond the one token of the command."""
        by_user = self.user_bucket(connection, connection.limits)
        connection.bucket.charge(cost)
        if by_user is not connection.bucket:
            by_user.charge(cost)

    # Sending

    def flush_soon(self, connection: Connection) -> None:
        """Send what waits for a connection once this turn of the loop is over."""
        if not self._dirty:
            asyncio.get_running_loop().call_soon(self._flush)
        self._dirty.append(connection)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            connection.flush()

    def tell_loss(self, connection: Connection) -> None:
        """Tell a slow client, now that it reads again, that it missed something."""
        for pattern in connection.subscriptions:
            routes = self._heads.get((connection.product, head_of(pattern)))
            if routes is not None and routes.feed is not None:
                connection.queue(frames.resync(pattern, routes.feed.position))
        for room in connection.rooms:
            connection.queue(frames.presence_resync(room))

    # Heads

    async def subscribe(self, connection: Connection, pattern: str) -> HeadRoutes:
        """Return the live routes of a pattern's head, held for the caller, who subscribes or releases."""
        return await self._hold(connection.product, head_of(pattern))

    async def unsubscribe(self, connection: Connection, pattern: str) -> None:
        """Take a subscription from a connection."""
        if pattern in connection.subscriptions:
            del connection.subscriptions[pattern]
            self._heads[connection.product, head_of(pattern)].unsubscribe(pattern, connection)
            await self.release(connection.product, head_of(pattern))

    async def watch(self, connection: Connection, room: str, *, joins: bool) -> None:
        """Send a room's presence to a connection from now on."""
        if room not in connection.rooms:
            routes = await self._hold(connection.product, head_of(room))
            routes.watch(room, connection)
        connection.rooms[room] = joins or connection.rooms.get(room, False)

    async def unwatch(self, connection: Connection, room: str) -> None:
        """Undo ``watch``."""
        if connection.rooms.pop(room, None) is not None:
            self._heads[connection.product, head_of(room)].unwatch(room, connection)
            await self.release(connection.product, head_of(room))

    async def settle_idle(self, connection: Connection) -> None:
        """Show a connection idle or active as it said last; at most once a second, since each room is told."""
        now = asyncio.get_running_loop().time()
        if connection.wants_idle is connection.is_idle or now - connection.idle_set_at < IDLE_SECONDS:
            return
        connection.idle_set_at = now
        await self.presence.set_idle(connection, connection.wants_idle)

    async def _hold(self, product: str, head: str) -> HeadRoutes:
        routes = self._heads.setdefault((product, head), HeadRoutes())
        routes.uses += 1
        try:
            async with routes.lock:
                if routes.feed is None:
                    routes.feed = await self._bus.follow(product, head, routes)
        except BaseException:
            await self.release(product, head)
            raise
        return routes

    async def release(self, product: str, head: str) -> None:
        """Give back what ``subscribe`` held; a head that nobody uses is followed no longer."""
        routes = self._heads[product, head]
        routes.uses -= 1
        if routes.uses == 0:
            del self._heads[product, head]
            if routes.feed is not None:
                await self._bus.unfollow(routes.feed, routes)

    # The clock

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run something beside the sockets."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            if isinstance(error, PlemeError):
                logger.warning("%s", error)
            else:
                logger.error("A task of the hub failed.", exc_info=error)

    async def settle(self) -> None:
        """Return when what runs beside the sockets is done."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
            # From Python 3.12 on, gathering finished tasks does not yield, and the callbacks that take
            # them off the set never had their turn.
            await asyncio.sleep(0)

    async def next_tick(self) -> None:
        """Return within half a second."""
        await self._tick.wait()

    def _wake_waiting(self) -> None:
        self._tick.set()
        self._tick = asyncio.Event()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311 - jitter
            self._wake_waiting()
            now = loop.time()
            try:
                self._tend(now)
            except Exception:
                # Without this task no socket of the process would be pinged, extended or looked at.
                logger.exception("A tick of the hub failed.")

    def _tend(self, now: float) -> None:
        for connection in list(self.connections.values()):
            self._look_at(connection, now)
        self.presence.tick(now)
        self.revalidator.tick(now)
        if now - self._buckets_cleaned_at > BUCKETS_SECONDS:
            self._buckets_cleaned_at = now
            self._buckets = {key: each for key, each in self._buckets.items() if not each.is_full()}

    def _look_at(self, connection: Connection, now: float) -> None:
        limits = connection.limits
        if connection.is_gone and not connection.is_busy:
            # The server may take its time to tell the consumer, and meanwhile nobody is there.
            self.start(self.close(connection))
        if connection.is_closing:
            return
        if connection.wants_idle is not connection.is_idle:
            self.start(self.settle_idle(connection))
        if (
            connection.blocked_since is not None
            and now - connection.blocked_since > limits.send_timeout_seconds
        ):
            connection.close(CloseCode.SLOW, "the client does not read")
        elif not connection.is_registered and now - connection.opened_at > limits.connect_timeout_seconds:
            connection.close(CloseCode.BAD_PROTOCOL, "no connect command")
        elif connection.pinged_at is not None and now - connection.pinged_at > limits.pong_seconds:
            connection.close(CloseCode.NO_PONG, "no answer to a ping")
        elif connection.pinged_at is None and now - connection.heard_at > limits.ping_seconds:
            connection.ping()

    def grow_older(self, seconds: float) -> None:
        """Let every timer of this hub be ``seconds`` further on: for tests that do not wait."""
        for connection in self.connections.values():
            connection.grow_older(seconds)
        self.presence.grow_older(seconds)
        self.revalidator.grow_older(seconds)

    async def _close(self) -> None:
        ticker, self._ticker = self._ticker, None
        if ticker is not None:
            await end({ticker})
        self._wake_waiting()  # who waits for the next tick would wait for the next socket
        await self._bus.unlisten(keyspace.control_bus(), self._on_control)

    # Control

    def _on_control(self, raw: bytes) -> None:
        control = parse_control(raw)
        if control is not None:
            now = asyncio.get_running_loop().time()
            self._orders.append((now, control))
            self._obey(control, self._concerned(control), now)

    def _on_confirmed(self) -> None:
        """Make up for the orders of the time in which nothing was heard."""
        if self._was_confirmed:
            self.revalidator.look_at_all()
        self._was_confirmed = True
        self.start(self._obey_kept())

    async def _obey_kept(self) -> None:
        while True:
            try:
                kept = await akept_controls()
                break
            except RedisUnavailable as error:
                if self._ticker is None:
                    return
                logger.warning("The orders that were missed cannot be read yet: %s", error)
                await self.next_tick()
        now = asyncio.get_running_loop().time()
        for age, control in kept:
            self._obey(control, self._concerned(control), now - age)

    def _concerned(self, control: Control) -> list[Connection]:
        candidates = self.connections.values() if control.user_id is None else self.of_user(control.user_id)
        return [each for each in candidates if control.concerns(each)]

    def _obey(self, control: Control, concerned: Iterable[Connection], moment: float) -> None:
        """Do what was ordered at ``moment`` to the sockets of that time.

        Who opened one since has logged in since, or was let in by what was loaded just before.
        """
        to_look_at = []
        for connection in concerned:
            if control.operation == "close" and connection.opened_at <= moment:
                connection.close(CloseCode(control.code), control.why)
            elif connection.opened_at <= moment + LOADED_BEFORE_SECONDS:
                to_look_at.append(connection)
        self.revalidator.look_at(to_look_at)


def _forget(by_user: dict[str | None, dict[Connection, None]], connection: Connection) -> None:
    of_user = by_user.get(connection.user_id)
    if of_user is not None:
        of_user.pop(connection, None)
        if not of_user:
            del by_user[connection.user_id]


_hubs: LoopRegistry[str | None, Hub] = LoopRegistry()


def hub() -> Hub:
    """Return the running event loop's hub for the configured Redis."""
    return _hubs.get(get_settings().url, Hub)
