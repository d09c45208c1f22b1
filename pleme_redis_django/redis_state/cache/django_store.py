"""Entries in any Django cache, such as LocMem in a project's own tests.

It is slower than Redis, with weaker promises: an operation is several calls of the cache, a wait for a
build polls, and times are those of this process.
"""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Concatenate, Generic, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache

from pleme_redis_django.redis_state.cache import envelope
from pleme_redis_django.redis_state.cache.building import EntryKeys, Opening, Todo
from pleme_redis_django.redis_state.cache.envelope import GENERATION_BYTES, GENERATION_TTL_MS
from pleme_redis_django.redis_state.server.keyspace import cache_build_keys

POLL_SECONDS = 0.005


P = ParamSpec("P")
T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class _CacheCall(Generic[T]):
    """Calls of a Django cache, which an event loop runs in a thread."""

    run: Callable[[], T]

    async def arun(self) -> T:
        return await sync_to_async(self.run)()


def _on_either_side(
    method: Callable[Concatenate[DjangoStore, P], T],
) -> Callable[Concatenate[DjangoStore, P], _CacheCall[T]]:
    def to_be_run(store: DjangoStore, /, *args: P.args, **kwargs: P.kwargs) -> _CacheCall[T]:
        return _CacheCall(partial(method, store, *args, **kwargs))

    return to_be_run


class DjangoStore:
    """The store behind an alias whose backend is not Redis."""

    def __init__(self, alias: str) -> None:
        self._alias = alias

    @_on_either_side
    def mget(self, keys: list[str]) -> list[bytes | None]:
        found = self._cache.get_many(keys)
        return [_unwrap(found.get(key)) for key in keys]

    @_on_either_side
    def pttl(self, keys: list[str]) -> list[int]:
        found, now = self._cache.get_many(keys), time.time()
        return [int((_expires_at(found[key]) - now) * 1000) if key in found else -2 for key in keys]

    @_on_either_side
    def write(self, keys: EntryKeys, tail: bytes, ttl_ms: int) -> None:
        self._cache.delete(keys.builds.lease)
        self._put(keys.entry, self.header(keys).run() + tail, ttl_ms)

    @_on_either_side
    def header(self, keys: EntryKeys) -> bytes:
        generations = [self._generation(key) for key in keys.generations]
        tags = (
            digest + generation for digest, generation in zip(keys.raw_digests, generations[1:], strict=True)
        )
        return b"\x01" + generations[0] + bytes([len(keys.raw_digests)]) + b"".join(tags)

    @_on_either_side
    def mset(self, entries: dict[str, bytes], ttl_ms: int) -> None:
        self._take_leases(entries)
        for key, entry in entries.items():
            self._put(key, entry, ttl_ms)

    @_on_either_side
    def delete(self, keys: list[str]) -> int:
        self._take_leases(keys)
        return sum(self._cache.delete(key) for key in keys)

    @_on_either_side
    def expire(self, key: str, ttl_ms: int) -> bool:
        [entry] = self.mget([key]).run()
        if entry is not None:
            self._put(key, entry, ttl_ms)
        return entry is not None

    @_on_either_side
    def increment(self, keys: EntryKeys, delta: int) -> bytes | int:
        entry, generation = self.mget([keys.entry, keys.generations[0]]).run()
        if entry is None or not envelope.is_of(entry, generation):
            return 0
        number = envelope.value_of(entry)
        if envelope.tags_of(entry) or type(number) is not int:
            return 1
        if abs(number + delta) >= 2**53:
            return 2
        [left_ms] = self.pttl([keys.entry]).run()
        self.write(keys, envelope.pack_tail(number + delta), max(left_ms, 1)).run()
        return str(number + delta).encode()

    @_on_either_side
    def renew_generations(self, keys: list[str]) -> None:
        for key in keys:
            self._put(key, secrets.token_bytes(GENERATION_BYTES), GENERATION_TTL_MS)

    @_on_either_side
    def open(self, keys: EntryKeys, token: str, lease_ms: int, earliness: float) -> Opening:
        header = self.header(keys).run()
        [entry] = self.mget([keys.entry]).run()
        if entry is not None and not entry.startswith(header):
            entry = None
        if entry is not None and self._fresh_ms(keys, entry) > envelope.build_ms_of(entry) * earliness:
            return Opening(todo=Todo.USE, header=header, entry=entry, wait_seconds=0)
        taken = self._cache.add(keys.builds.lease, token, lease_ms / 1000)
        todo = Todo.BUILD if taken else Todo.LEAVE
        return Opening(todo=todo, header=header, entry=entry, wait_seconds=lease_ms / 1000)

    @_on_either_side
    def close(self, keys: EntryKeys, token: str, entry: bytes, ttl_ms: int) -> bool:
        if self._cache.get(keys.builds.lease) != token:
            return False
        stored = entry.startswith(self.header(keys).run())
        if stored:
            self._put(keys.entry, entry, ttl_ms)
        self._cache.delete(keys.builds.lease)
        return stored

    @_on_either_side
    def wait_for_build(self, keys: EntryKeys, seconds: float) -> None:
        give_up_at = time.monotonic() + seconds
        while self._cache.get(keys.builds.lease) is not None and time.monotonic() < give_up_at:
            time.sleep(POLL_SECONDS)

    @_on_either_side
    def count(self, key: str, counts: dict[str, int]) -> None:
        total = self.counted(key).run()
        self._cache.set(key, {name: total.get(name, 0) + number for name, number in counts.items()}, None)

    @_on_either_side
    def counted(self, key: str) -> dict[str, int]:
        counts: dict[str, int] = self._cache.get(key) or {}
        return counts

    @property
    def _cache(self) -> BaseCache:
        return caches[self._alias]

    def _generation(self, key: str) -> bytes:
        [generation] = self.mget([key]).run()
        if generation is None:
            self._cache.add(key, _wrap(secrets.token_bytes(GENERATION_BYTES), GENERATION_TTL_MS), None)
            [generation] = self.mget([key]).run()
        return generation or secrets.token_bytes(GENERATION_BYTES)

    def _fresh_ms(self, keys: EntryKeys, entry: bytes) -> int:
        [left_ms] = self.pttl([keys.entry]).run()
        return left_ms - envelope.grace_ms_of(entry)

    def _take_leases(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._cache.delete(cache_build_keys(key).lease)

    def _put(self, key: str, entry: bytes, ttl_ms: int) -> None:
        self._cache.set(key, _wrap(entry, ttl_ms), ttl_ms / 1000)


def _wrap(entry: bytes, ttl_ms: int) -> str:
    # Text, because a JSON serializer takes no bytes; with its end, because no Django cache says it.
    return f"{time.time() + ttl_ms / 1000:.3f}|{entry.decode('latin-1')}"


def _unwrap(wrapped: str | None) -> bytes | None:
    return None if wrapped is None else wrapped.partition("|")[2].encode("latin-1")


def _expires_at(wrapped: str) -> float:
    return float(wrapped.partition("|")[0])
