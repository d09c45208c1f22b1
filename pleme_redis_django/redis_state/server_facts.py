"""What the system checks want to know of the Redis server."""

from __future__ import annotations

import dataclasses
from typing import Any

from pleme_redis_django.redis_state.connections import redis_client
from pleme_redis_django.redis_state.outages import outages_as_unavailable


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """The server behind ``PLEME_REDIS["URL"]``."""

    version: tuple[int, ...]
    """Of the Redis that it is, or says it is compatible with (Valkey: 7.2.4)."""
    maxmemory_bytes: int
    """0: no limit."""
    maxmemory_policy: str


def server_facts() -> ServerFacts:
    """Ask the server; INFO, because CONFIG is often forbidden. Raises RedisUnavailable."""
    with outages_as_unavailable():
        info: dict[str, Any] = redis_client().info()
    return ServerFacts(
        version=tuple(int(part) for part in str(info["redis_version"]).split(".")[:3] if part.isdigit()),
        maxmemory_bytes=int(info.get("maxmemory", 0)),
        maxmemory_policy=str(info.get("maxmemory_policy", "noeviction")),
    )
