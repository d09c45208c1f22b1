"""The one Redis connection on which an event loop receives every head that it follows.

It subscribes to a head's bus by name; listeners match patterns themselves (with PSUBSCRIBE, Redis
tries every pattern on every publish). It reconnects after a growing, jittered delay,
and then each feed reads from the log what it missed.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from redis.asyncio.connection import AbstractConnection

from pleme_redis_django.conf import get_settings
from pleme_redis_django.exceptions import RedisUnavailable
from pleme_redis_django.redis_state.pubsub.handled_channels import ControlHandler, HandledChannels
from pleme_redis_django.redis_state.pubsub.head_feed import FeedListener, HeadFeed
from pleme_redis_django.redis_state.pubsub.log import HeadLog
from pleme_redis_django.redis_state.pubsub.messages import parse_bus_message
from pleme_redis_django.redis_state.pubsub.recent_messages import RecentBudget
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.cancellation import end
from pleme_redis_django.redis_state.server.connection_classes import demotions_seen
from pleme_redis_django.redis_state.server.connections import LISTENING
from pleme_redis_django.redis_state.server.loop_registry import LoopRegistry
from pleme_redis_django.redis_state.server.outages import OUTAGES, ServerRefuses
from pleme_redis_django.redis_state.server.redis_call import async_redis_client
from pleme_redis_django.redis_state.server.unavailable import outages_as_unavailable

LIVE_TIMEOUT_SECONDS = 5.0
"""How long a new subscription waits for Redis before it fails."""
CHECK_SECONDS = 10.0
"""How often the connection is probed; after two silent periods, it counts as dead."""
TAIL_CHECK_SECONDS = 25.0
"""How often a quiet feed is compared with its log: if the last message is lost, there is no gap to see."""
RECONNECT_FIRST_SECONDS, RECONNECT_MOST_SECONDS = 0.05, 5.0
REPAIR_MOST_SECONDS = 1.0
"""The longest pause between two attempts to repair a feed."""
STEADY_SECONDS = 5.0
"""After how long a connection counts as good, so that the next one is made without a delay."""
CATCH_UPS_AT_ONCE = 10
"""How many feeds read their log at the same time, so that a process with many heads does not block Redis."""
RESYNCS_PER_SECOND = 1000
"""How fast heads are told of a reconnect: each of their clients then reads its state again."""

logger = logging.getLogger("pleme_redis_django.bus")


class Bus:
    """The feeds of one event loop: opened with the first, closed with the last."""

    def __init__(self) -> None:
        self._feeds: dict[bytes, HeadFeed] = {}
        self._recent_budget = RecentBudget()
        self._channels = HandledChannels()
        self._connection: AbstractConnection | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._run_id = ""
        self._heard = 0.0
        self._is_reconnect = False
        self._demotions_known = 0
        self._warned_at = 0.0
        self._repairing: set[HeadFeed] = set()
        self._catch_ups = asyncio.Semaphore(CATCH_UPS_AT_ONCE)

    async def follow(self, product: str, head: str, listener: FeedListener) -> HeadFeed:
        """Return the live feed of a head, with ``listener`` added to it.

        Raises RedisUnavailable if it is not live within five seconds.
        """
        name = keyspace.channel_bus(product, head).encode()
        feed = self._feeds.get(name)
        if feed is None:
            feed = self._feeds[name] = HeadFeed(HeadLog(product, head), self._recent_budget)
            self._subscribe(name)
        feed.listeners.append(listener)
        try:
            # Not wait_for(): until Python 3.12 it swallows a cancellation that meets its result.
            async with asyncio.timeout(LIVE_TIMEOUT_SECONDS):
                await feed.live.wait()
        except TimeoutError as error:
            await self.unfollow(feed, listener)
            raise RedisUnavailable(
                f"Redis did not confirm a subscription within {LIVE_TIMEOUT_SECONDS:.0f} s. "
                "Check that the server of the configured URL runs."
            ) from error
        except asyncio.CancelledError:
            await self.unfollow(feed, listener)
            raise
        return feed

    async def unfollow(self, feed: HeadFeed, listener: FeedListener) -> None:
        """Remove a listener from a feed; a feed without one is closed, and the bus with its last feed."""
        if listener in feed.listeners:
            feed.listeners.remove(listener)
        name = keyspace.channel_bus(feed.log.product, feed.log.head).encode()
        if not feed.listeners and self._feeds.get(name) is feed:
            del self._feeds[name]
            feed.recent.forget()
            await self._unsubscribe(name)

    def listen(
        self, name: str, handler: ControlHandler, *, on_confirmed: Callable[[], None] | None = None
    ) -> None:
        """Call ``handler`` with each raw message of a Redis channel that is not a head's bus.

        Such messages have no numbers: what is published while the connection is away is lost.
        ``on_confirmed`` is called without arguments each time that Redis has confirmed the channel, the first time
        and after every reconnect: from then on messages are received, and the caller can catch up on what was
        missed. Neither may block; what they raise is logged.
        """
        if self._channels.add(name.encode(), handler, on_confirmed):
            self._subscribe(name.encode())

    async def unlisten(self, name: str, handler: ControlHandler) -> None:
        """Undo ``listen``."""
        if self._channels.remove(name.encode(), handler):
            await self._unsubscribe(name.encode())

    async def aclose(self) -> None:
        """Drop every feed and the connection."""
        self._feeds.clear()
        self._recent_budget = RecentBudget()
        self._channels.clear()
        tasks, self._tasks = self._tasks, set()
        # Each task closes what it opened: a new caller may already have begun to connect again.
        await end(tasks - {asyncio.current_task()})

    # The connection

    def _subscribe(self, name: bytes) -> None:
        if not self._tasks:
            self._start(self._run())
            self._start(self._probe())
            self._start(self._check_tails())
        elif self._connection is not None:
            self._start(self._send("SUBSCRIBE", name))

    async def _unsubscribe(self, name: bytes) -> None:
        if not self._feeds and not self._channels:
            await self.aclose()
        else:
            await self._send("UNSUBSCRIBE", name)

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        delay, loop = RECONNECT_FIRST_SECONDS, asyncio.get_running_loop()
        while True:
            connection, began = self._new_connection(), loop.time()
            try:
                await self._connect(connection)
                await self._read(connection)
            except (RedisUnavailable, *OUTAGES) as error:
                logger.warning("The realtime connection to Redis was lost: %s", error)
            except Exception:
                # Without this task, the process would receive nothing.
                logger.exception("The realtime connection to Redis failed.")
            finally:
                if self._connection is connection:
                    self._connection = None
                self._channels.note_lost_connection()
                await connection.disconnect(nowait=True)
            self._is_reconnect = True
            if loop.time() - began > STEADY_SECONDS:
                delay = RECONNECT_FIRST_SECONDS
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            delay = min(delay * 2, RECONNECT_MOST_SECONDS)

    def _new_connection(self) -> AbstractConnection:
        make: Callable[[], AbstractConnection] = async_redis_client(LISTENING).connection_pool.make_connection
        return make()

    async def _connect(self, connection: AbstractConnection) -> None:
        connect: Callable[[], Awaitable[None]] = connection.connect
        await connect()
        self._demotions_known = demotions_seen()
        self._run_id = await _run_id_of(connection)
        self._connection = connection
        self._heard = asyncio.get_running_loop().time()
        names = [*self._feeds, *self._channels]
        if names:
            await connection.send_command("SUBSCRIBE", *names)

    async def _read(self, connection: AbstractConnection) -> None:
        loop = asyncio.get_running_loop()
        while True:
            reply = await connection.read_response(disable_decoding=True, timeout=math.inf)
            self._heard = loop.time()
            if reply[0] == b"message":
                self._hand_on(reply[1], reply[2])
            elif reply[0] == b"subscribe":
                self._confirmed(reply[1])

    def _hand_on(self, name: bytes, raw: bytes) -> None:
        feed = self._feeds.get(name)
        if feed is None:
            self._channels.hand_on(name, raw)
            return
        try:
            message = parse_bus_message(raw)
        except Exception:
            # One bad message must not cost every feed of the process its connection; a number that it
            # had is missing now, and is repaired as any gap is.
            logger.exception("A message of head %s is not readable.", feed.log.head)
            return
        if not feed.take(message):
            self._start(self._catch_up(feed))

    def _confirmed(self, name: bytes) -> None:
        feed = self._feeds.get(name)
        if feed is not None:
            if self._is_reconnect:
                self._start(self._tell_reconnect(feed))
            self._start(self._catch_up(feed, self._run_id))
        else:
            self._channels.confirm(name)

    async def _tell_reconnect(self, feed: HeadFeed) -> None:
        spread = min(len(self._feeds) / RESYNCS_PER_SECOND, RECONNECT_MOST_SECONDS)
        await asyncio.sleep(spread * random.random())  # noqa: S311 - jitter
        feed.tell_reconnect()

    async def _catch_up(self, feed: HeadFeed, run_id: str = "") -> None:
        """Repair a feed, again and again while it is followed and Redis does not answer.

        If commands fail, the connection for messages is kept: otherwise every feed of the process would begin
        again, and add to the load on Redis.
        """
        feed.note_loss(run_id)
        if feed in self._repairing:
            return
        self._repairing.add(feed)
        name = keyspace.channel_bus(feed.log.product, feed.log.head).encode()
        delay = RECONNECT_FIRST_SECONDS
        try:
            while self._feeds.get(name) is feed:
                try:
                    async with self._catch_ups:
                        await feed.catch_up()
                    break
                except RedisUnavailable as error:
                    self._warn("A feed could not be repaired yet: %s", error)
                await self._leave_demoted()
                await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                delay = min(delay * 2, REPAIR_MOST_SECONDS)
        finally:
            self._repairing.discard(feed)
        await self._leave_demoted()

    def _warn(self, message: str, error: Exception) -> None:
        """Log a warning, at most once a second: thousands of feeds have the same trouble."""
        now = asyncio.get_running_loop().time()
        if now - self._warned_at > 1:
            self._warned_at = now
            logger.warning(message, error)

    async def _leave_demoted(self) -> None:
        """Reconnect if a server is no longer a primary: ours may be that server, and would not say so."""
        if demotions_seen() != self._demotions_known:
            self._demotions_known = demotions_seen()
            await self._break()

    async def _send(self, *command: str | bytes) -> None:
        connection = self._connection
        if connection is not None:
            try:
                await connection.send_command(*command)
            except OUTAGES:
                await self._break()

    async def _break(self) -> None:
        if self._connection is not None:
            with suppress(*OUTAGES):
                await self._connection.disconnect(nowait=True)

    async def _probe(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            if self._connection is not None and loop.time() - self._heard > 2 * CHECK_SECONDS:
                logger.warning("The realtime connection to Redis is silent; connecting again.")
                await self._break()
            else:
                await self._leave_demoted()
                await self._send("PING")

    async def _check_tails(self) -> None:
        while True:
            await asyncio.sleep(TAIL_CHECK_SECONDS * random.uniform(0.8, 1.0))  # noqa: S311 - jitter
            for feed in list(self._feeds.values()):
                if feed.live.is_set():
                    await self._catch_up(feed)


async def _run_id_of(connection: AbstractConnection) -> str:
    """Return the run id of the server of this very connection; empty without the right to ask."""
    with outages_as_unavailable():
        await connection.send_command("INFO", "server")
        try:
            info = await connection.read_response(timeout=LIVE_TIMEOUT_SECONDS)
        except ServerRefuses:
            return ""
    found = re.search(rb"run_id:(\w+)", info if isinstance(info, bytes) else str(info).encode())
    return found[1].decode() if found else ""


_buses: LoopRegistry[str | None, Bus] = LoopRegistry(close=Bus.aclose)


def bus() -> Bus:
    """Return the running event loop's bus for the configured Redis."""
    return _buses.get(get_settings().url, Bus)


async def close_bus() -> None:
    """Close the running loop's buses, even if they still have listeners."""
    await _buses.aclose()
