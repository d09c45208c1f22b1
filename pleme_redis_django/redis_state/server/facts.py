"""What the system checks ask the Redis server: its version, its settings and the rights of its user."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import redis

from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.connections import SHORTEST_BLOCK_SECONDS
from pleme_redis_django.redis_state.server.outages import ServerRefuses
from pleme_redis_django.redis_state.server.redis_call import redis_client
from pleme_redis_django.redis_state.server.unavailable import outages_as_unavailable


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """The server behind ``PLEME_REDIS["URL"]``."""

    version: tuple[int, ...]
    """Of Redis, or of the Redis that the server says it is compatible with (Valkey: 7.2.4)."""
    maxmemory_bytes: int
    """0: no limit."""
    maxmemory_policy: str


def server_facts() -> ServerFacts | None:
    """Ask the server with INFO, because CONFIG is often forbidden; None if INFO is forbidden, too.

    Raises RedisUnavailable.
    """
    with outages_as_unavailable():
        client = redis_client()
        client.ping()
        try:
            info: dict[str, Any] = client.info()
        except ServerRefuses:
            return None
    return ServerFacts(
        version=tuple(int(part) for part in str(info["redis_version"]).split(".")[:3] if part.isdigit()),
        maxmemory_bytes=int(info.get("maxmemory", 0)),
        maxmemory_policy=str(info.get("maxmemory_policy", "noeviction")),
    )


def refused_rights() -> list[str]:
    """Try one command of each kind that is needed; return those that the user may not run.

    Writes one key, which expires after a millisecond. Raises RedisUnavailable.
    """
    refused = []
    with outages_as_unavailable():
        client = redis_client()
        for right, use in _PROBES.items():
            try:
                use(client)
            except ServerRefuses as error:
                if not str(error).startswith("NOPERM"):
                    raise
                refused.append(right)
    return refused


def _subscribe(client: redis.Redis) -> None:
    with client.pubsub() as pubsub:  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        pubsub.subscribe(keyspace.rights_probe())
        pubsub.parse_response()


def _run_script(client: redis.Redis) -> None:
    client.eval("return redis.call('SET', KEYS[1], '1', 'PX', 1)", 1, keyspace.rights_probe())


def _block(client: redis.Redis) -> None:
    client.brpop([f"{keyspace.rights_probe()}:list"], timeout=SHORTEST_BLOCK_SECONDS)


_PROBES: dict[str, Callable[[redis.Redis], object]] = {
    "scripts that write keys pl:* (EVAL, EVALSHA, SET)": _run_script,
    "blocking pops of keys pl:* (BRPOP, BLPOP)": _block,
    "PUBLISH to channels pl:*": lambda client: client.publish(keyspace.rights_probe(), b""),
    "SUBSCRIBE to channels pl:*": _subscribe,
    "INFO": lambda client: client.info("server"),
}
