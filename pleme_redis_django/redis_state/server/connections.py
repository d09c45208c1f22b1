"""Clients of a Redis server, sync and async, one per profile: the only place that opens a connection.

A profile says how long a caller can wait. redis-py 8 defaults to a ``socket_timeout`` of 5 s
and ten retries, which is wrong for a blocking pop (it raises after 5 s, and a retried pop can lose
its element) and for a hint (a black-holed Redis would hold up the enqueueing request), so every
profile states its own.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.connection import parse_url
from redis.retry import Retry

from pleme_redis_django.redis_state.server.connection_classes import (
    QueueingPool,
    async_judging_connection,
    judging_connection,
)
from pleme_redis_django.redis_state.server.loop_registry import LoopRegistry
from pleme_redis_django.redis_state.server.pause import reset_pauses

# redis-py 8 stops a pool at 100 connections; a realtime process, or a process in which many wait for
# locks, may need more.
MAX_CONNECTIONS = 1000

ASYNC_CONNECTIONS = 32
"""How many connections the short commands of an event loop share; further callers queue."""

SHORTEST_BLOCK_SECONDS = 0.01
"""The shortest time for a blocking pop. 0 means forever, and Redis 6.2 turns a millisecond into 0: it multiplies
0.001 by 1000 as a long double, and cuts off the fraction."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How long a caller waits for Redis, in seconds (None: forever), and how often it tries again."""

    name: str
    connect_timeout_seconds: float
    read_timeout_seconds: float | None
    retries: int
    protocol: int | None = None
    """RESP version; None: what redis-py chooses."""
    blocks: bool = False
    """Whether a command keeps its connection for as long as it waits, so that callers cannot share a few."""


COMMANDS = Profile(name="commands", connect_timeout_seconds=2, read_timeout_seconds=5, retries=1)
"""Requests with an answer: idempotent scripts and reads."""

HINTS = Profile(name="hints", connect_timeout_seconds=0.25, read_timeout_seconds=0.25, retries=0)
"""Wake-ups, which may be lost but must not hold up the caller."""

PUBLISHING = Profile(name="publishing", connect_timeout_seconds=2, read_timeout_seconds=5, retries=0)
"""Scripts that are not idempotent: a lost reply must not send a message twice."""

LOCKS = Profile(name="locks", connect_timeout_seconds=2, read_timeout_seconds=3, retries=0)
"""Lock scripts. The caller makes the one retry: its deadline counts from the request that was answered."""

CACHE = Profile(name="cache", connect_timeout_seconds=1, read_timeout_seconds=2, retries=1)
"""Cache commands: a cache that takes longer than it saves is of no use."""

WAITS = Profile(name="waits", connect_timeout_seconds=2, read_timeout_seconds=5, retries=1, blocks=True)
"""BLPOP on a wake key, for 2 s at most: an answer that is 3 s late means an outage.

The retry may lose a wake-up, which costs its waiter two seconds at most."""

POPS = Profile(name="pops", connect_timeout_seconds=2, read_timeout_seconds=40, retries=0, blocks=True)
"""BRPOP of at most 30 s: a connection whose other end has vanished is noticed 10 s later."""

BLOCKING = Profile(
    name="blocking", connect_timeout_seconds=2, read_timeout_seconds=None, retries=0, blocks=True
)
"""BRPOP, BLPOP and SUBSCRIBE: the command's own timeout bounds the wait."""

LISTENING = Profile(
    name="listening", connect_timeout_seconds=2, read_timeout_seconds=None, retries=0, protocol=2, blocks=True
)
"""The bus of an event loop. RESP2: redis-py writes every RESP3 push into a debug message first."""


async def close_async_clients() -> None:
    """Close the running loop's connections now; they are also closed when the loop ends."""
    await _async_clients.aclose()


def close_sync_clients() -> None:
    """Disconnect every sync client of this process; the next use connects again."""
    reset_pauses()
    for client in _sync_clients:
        client.close()
        client.connection_pool.disconnect()
    sync_client.cache_clear()


def async_client(url: str, profile: Profile) -> redis.asyncio.Redis:
    """Return the running event loop's client of a server; connections never cross loops.

    Raises RuntimeError outside a loop.
    """
    return _async_clients.get((url, profile), lambda: _async_client(url, profile))


def _async_client(url: str, profile: Profile) -> redis.asyncio.Redis:
    options = _options(url, profile, AsyncRetry)
    kind = options.pop("connection_class", redis.asyncio.Connection)
    options["connection_class"] = async_judging_connection(_ASYNC_CLASSES.get(kind, kind))
    if profile.blocks or profile.read_timeout_seconds is None:
        return redis.asyncio.Redis.from_pool(redis.asyncio.ConnectionPool(**options))
    options |= {"max_connections": ASYNC_CONNECTIONS, "timeout": profile.read_timeout_seconds}
    return redis.asyncio.Redis.from_pool(QueueingPool(**options))


_async_clients: LoopRegistry[tuple[str, Profile], redis.asyncio.Redis] = LoopRegistry(
    close=lambda client: client.aclose()
)
# redis-py declares no types for it.
_parse_url: Callable[[str], dict[str, Any]] = parse_url
_OF_SERVER = frozenset({"connection_class", "db", "host", "password", "path", "port", "username"})
# parse_url() names the synchronous classes.
_ASYNC_CLASSES = {
    redis.SSLConnection: redis.asyncio.SSLConnection,
    redis.UnixDomainSocketConnection: redis.asyncio.UnixDomainSocketConnection,
}
_sync_clients: weakref.WeakSet[redis.Redis] = weakref.WeakSet()


@lru_cache(maxsize=32)
def sync_client(url: str, profile: Profile) -> redis.Redis:
    """Return this process's client of a server (thread-safe, connects on first use)."""
    options = _options(url, profile, Retry)
    options["connection_class"] = judging_connection(options.get("connection_class", redis.Connection))
    client = redis.Redis.from_pool(redis.ConnectionPool(**options))
    _sync_clients.add(client)
    return client


def _options(url: str, profile: Profile, retry: type[Retry] | type[AsyncRetry]) -> dict[str, Any]:
    # A unix socket's connection class refuses the option, and has nothing to keep alive.
    keepalive = {} if url.startswith("unix://") else {"socket_keepalive": True}
    protocol = {} if profile.protocol is None else {"protocol": profile.protocol}
    backoff = ExponentialWithJitterBackoff(base=0.02, cap=0.2) if profile.retries else NoBackoff()
    # The URL says which server; how connections behave is decided only here.
    server = {
        key: value for key, value in _parse_url(url).items() if key in _OF_SERVER or key.startswith("ssl_")
    }
    return {
        **server,
        "max_connections": MAX_CONNECTIONS,
        "socket_connect_timeout": profile.connect_timeout_seconds,
        "socket_timeout": profile.read_timeout_seconds,
        **keepalive,
        **protocol,
        "retry": retry(backoff, profile.retries),
        "decode_responses": False,
        "client_name": f"pleme-{profile.name}",
        # None: no CLIENT SETINFO, two commands less at each connect.
        "driver_info": None,
    }
