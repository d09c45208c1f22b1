"""The values that operations and stores exchange."""

from __future__ import annotations

import dataclasses
import enum
import inspect
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from asgiref.sync import sync_to_async

from pleme_redis_django.interruption import interruptible
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.cancellation import unbroken
from pleme_redis_django.redis_state.server.flows import Request

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EntryKeys:
    """The keys of one entry: its own, those of the generations of product and tags, and those of its builds."""

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
    """What a reader that could build an entry has to do."""

    USE = 0
    BUILD = 1
    LEAVE = 2
    """Another caller builds it: use the old entry, or wait."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """The answer to a reader that could build an entry."""

    todo: Todo
    header: bytes
    """What an entry built now must begin with, so that a flush during the build voids it."""
    entry: bytes | None
    """The entry if it may be used, stale or not."""
    wait_seconds: float
    """How long the lease of another builder lasts."""


@dataclasses.dataclass(frozen=True, slots=True)
class Build:
    """A call of a builder."""

    builder: Callable[[], Any]

    def run(self) -> Any:
        value = interruptible(self.builder)
        if inspect.isawaitable(value):
            if inspect.iscoroutine(value):
                value.close()
            raise TypeError("The builder returned an awaitable. Use the async method (aget_or_set) for it.")
        return value

    async def arun(self) -> Any:
        """Await a coroutine function; call anything else in a thread, where it may use the ORM."""
        builder = self.builder
        value = builder() if inspect.iscoroutinefunction(builder) else await sync_to_async(builder)()
        return await value if inspect.isawaitable(value) else value


@dataclasses.dataclass(frozen=True, slots=True)
class Unbroken(Generic[T]):
    """A request that finishes even if its caller is cancelled meanwhile."""

    request: Request[T]

    def run(self) -> T:
        return self.request.run()

    async def arun(self) -> T:
        return await unbroken(self.request.arun())


class CacheStore(Protocol):
    """Where entries are kept. Two implementations: Redis itself, and any Django cache.

    A method returns what is to be done; what asks Redis raises RedisUnavailable when it is run. A change or a
    removal of an entry ends the lease of its builder, which then stores nothing.
    """

    def mget(self, keys: list[str]) -> Request[list[bytes | None]]: ...

    def pttl(self, keys: list[str]) -> Request[list[int]]: ...

    def write(self, keys: EntryKeys, tail: bytes, ttl_ms: int) -> Request[object]: ...

    def header(self, keys: EntryKeys) -> Request[bytes]: ...

    def mset(self, entries: dict[str, bytes], ttl_ms: int) -> Request[object]: ...

    def delete(self, keys: list[str]) -> Request[int]: ...

    def expire(self, key: str, ttl_ms: int) -> Request[bool]: ...

    def increment(self, keys: EntryKeys, delta: int) -> Request[bytes | int]: ...

    def renew_generations(self, keys: list[str]) -> Request[object]: ...

    def open(self, keys: EntryKeys, token: str, lease_ms: int, earliness: float) -> Request[Opening]: ...

    def close(self, keys: EntryKeys, token: str, entry: bytes, ttl_ms: int) -> Request[bool]:
        """End a build, and return whether its entry was stored: only while the lease holds ``token``."""

    def wait_for_build(self, keys: EntryKeys, seconds: float) -> Request[object]: ...

    def count(self, key: str, counts: dict[str, int]) -> Request[object]: ...

    def counted(self, key: str) -> Request[dict[str, int]]: ...
