"""Values that pass between the operations and the stores."""

from __future__ import annotations

import dataclasses
import enum
from typing import Protocol

from pleme_redis_django.redis_state import keyspace


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EntryKeys:
    """The keys of one entry: its own, its product's generation's, its tags', and those of its builds."""

    product: str
    entry: str
    tag_digests: tuple[str, ...] = ()

    @property
    def generations(self) -> tuple[str, ...]:
        """The product's generation, then the tags'."""
        tags = (keyspace.cache_tag(self.product, tag) for tag in self.tag_digests)
        return (keyspace.cache_generation(self.product), *tags)

    @property
    def raw_digests(self) -> tuple[bytes, ...]:
        return tuple(bytes.fromhex(tag) for tag in self.tag_digests)

    @property
    def builds(self) -> keyspace.CacheBuildKeys:
        return keyspace.cache_build_keys(self.entry)


class Todo(enum.IntEnum):
    """What a reader that could build an entry is to do."""

    USE = 0
    BUILD = 1
    LEAVE = 2
    """Somebody else builds it: use what there is, or wait."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """The answer to a reader that could build an entry."""

    todo: Todo
    header: bytes
    """What an entry built now must begin with, so that a flush during the build voids it."""
    entry: bytes | None
    """The entry if it may be used, stale or not."""
    wait_seconds: float
    """How long the builder's lease lasts, when somebody else builds."""


class CacheStore(Protocol):
    """Where entries lie. Two implementations: Redis itself, and any Django cache.

    Each method has an async twin with the prefix ``a``. Those that ask Redis raise RedisUnavailable.
    What changes or removes an entry takes the lease from its builder, who then stores nothing.
    """

    def mget(self, keys: list[str]) -> list[bytes | None]: ...

    def pttl(self, keys: list[str]) -> list[int]: ...

    def write(self, keys: EntryKeys, tail: bytes, ttl_ms: int) -> None: ...

    def header(self, keys: EntryKeys) -> bytes: ...

    def mset(self, entries: dict[str, bytes], ttl_ms: int) -> None: ...

    def delete(self, keys: list[str]) -> int: ...

    def expire(self, key: str, ttl_ms: int) -> bool: ...

    def increment(self, keys: EntryKeys, delta: int) -> bytes | int: ...

    def renew_generations(self, keys: list[str]) -> None: ...

    def open(self, keys: EntryKeys, token: str, lease_ms: int, earliness: float) -> Opening: ...

    def close(self, keys: EntryKeys, token: str, entry: bytes, ttl_ms: int) -> bool:
        """End a build and return whether its entry was stored: only while the lease holds ``token``."""

    def wait_for_build(self, keys: EntryKeys, seconds: float) -> None: ...

    def count(self, key: str, counts: dict[str, int]) -> None: ...

    def counted(self, key: str) -> dict[str, int]: ...
