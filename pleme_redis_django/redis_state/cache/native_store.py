"""Entries in the Redis of a Django cache alias, without the alias's serializer: bytes and Lua.

Its connections are its own: django-redis shares pools by URL alone, so that another alias's options
(timeouts, decoding) could apply, and it has no async client.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from pleme_redis_django.exceptions import RedisUnavailable
from pleme_redis_django.redis_state.cache.building import EntryKeys, Opening, Todo
from pleme_redis_django.redis_state.cache.envelope import GENERATION_BYTES, GENERATION_TTL_MS
from pleme_redis_django.redis_state.cache.read_batch import SharedReads, Values
from pleme_redis_django.redis_state.cache.shared_flights import SharedFlights
from pleme_redis_django.redis_state.server.cancellation import to_its_end
from pleme_redis_django.redis_state.server.connections import CACHE, PUBLISHING, WAITS, Profile
from pleme_redis_django.redis_state.server.flows import Request
from pleme_redis_django.redis_state.server.keyspace import cache_build_keys
from pleme_redis_django.redis_state.server.outages import OUTAGES
from pleme_redis_django.redis_state.server.pause import Pause
from pleme_redis_django.redis_state.server.redis_call import (
    RedisCall,
    RedisPipeline,
    as_it_is,
    redis_client,
    script_call,
)
from pleme_redis_django.redis_state.server.unavailable import unavailable

T = TypeVar("T")

PAUSE_SECONDS = 1.0


class NativeStore:
    """The store behind an alias of django-redis or of Django's Redis cache; one for each alias and process."""

    def __init__(self, url: str, make_key: Callable[[str], str]) -> None:
        self._url = url
        self._key = make_key
        self._pause = Pause(PAUSE_SECONDS, "Redis was away a moment ago; the cache is not asked again yet.")
        self._reads = SharedReads(self._amget)
        self._openings: SharedFlights[Opening] = SharedFlights()
        self._waits: SharedFlights[object] = SharedFlights()

    # Reads

    def mget(self, keys: list[str]) -> Request[Values]:
        return _Read(self, keys)

    def mget_now(self, keys: list[str]) -> Values:
        # The hot path: a RedisCall between the operation and its command would cost 0.8 us, 2 % of a cache.get.
        self._pause.check()
        execute: Callable[..., Values] = redis_client(CACHE, self._url).execute_command
        try:
            return execute("MGET", *map(self._key, keys))
        except OUTAGES as error:
            self._pause.failed(error)
            raise unavailable(error) from error

    async def mget_shared(self, keys: list[str]) -> Values:
        return await self._reads.read(list(map(self._key, keys)))

    async def _amget(self, redis_keys: list[str]) -> Values:
        call = RedisCall[Values](("MGET", *redis_keys), profile=CACHE, url=self._url, pause=self._pause)
        return await call.arun()

    def pttl(self, keys: list[str]) -> RedisPipeline[list[int]]:
        return self._pipeline((("PTTL", self._key(key)) for key in keys), pause=self._pause)

    # Writes

    def write(self, keys: EntryKeys, tail: bytes, ttl_ms: int) -> RedisCall[None]:
        arguments = [tail, ttl_ms, _generation(), GENERATION_TTL_MS, *keys.raw_digests]
        all_keys = (keys.entry, keys.builds.lease, *keys.generations)
        return self._script("cache_write", all_keys, arguments, pause=self._pause)

    def header(self, keys: EntryKeys) -> RedisCall[bytes]:
        arguments = [_generation(), GENERATION_TTL_MS, *keys.raw_digests]
        return self._script("cache_make_header", keys.generations, arguments, pause=self._pause)

    def mset(self, entries: dict[str, bytes], ttl_ms: int) -> RedisPipeline[object]:
        return self._pipeline([self._take_leases(entries), *self._sets(entries, ttl_ms)], pause=self._pause)

    def _sets(self, entries: Mapping[str, bytes], ttl_ms: int) -> Iterable[_Command]:
        return (("SET", self._key(key), entry, "PX", ttl_ms) for key, entry in entries.items())

    def _take_leases(self, keys: Iterable[str]) -> _Command:
        """Prevent builds in progress from overwriting what follows in a pipeline."""
        return ("UNLINK", *(self._key(cache_build_keys(key).lease) for key in keys))

    def expire(self, key: str, ttl_ms: int) -> RedisCall[bool]:
        return RedisCall(("PEXPIRE", self._key(key), ttl_ms), bool, CACHE, self._url)

    def increment(self, keys: EntryKeys, delta: int) -> RedisCall[bytes | int]:
        # Not idempotent, so with the profile that does not try again.
        all_keys = (keys.entry, keys.builds.lease, keys.generations[0])
        return self._script("cache_increment", all_keys, [delta], profile=PUBLISHING)

    # Invalidation: never skipped after an outage, because an entry that is not deleted is still served

    def delete(self, keys: list[str]) -> RedisPipeline[int]:
        # The leases first: a build that ends between the two commands has stored what the second one removes.
        entries = ("UNLINK", *map(self._key, keys))
        return self._pipeline([self._take_leases(keys), entries], read=lambda replies: int(replies[1]))

    def renew_generations(self, keys: list[str]) -> RedisPipeline[object]:
        return self._pipeline(self._sets({key: _generation() for key in keys}, GENERATION_TTL_MS))

    # Building

    def open(self, keys: EntryKeys, token: str, lease_ms: int, earliness: float) -> Request[Opening]:
        all_keys = (keys.entry, *keys.builds[:2], *keys.generations)
        arguments = [token, lease_ms, _generation(), GENERATION_TTL_MS, f"{earliness:.6f}", *keys.raw_digests]
        call = self._script("cache_open", all_keys, arguments, read=_read_opening, pause=self._pause)
        give_back = partial(self.close, keys, token, b"", 0)
        return _Open(call=call, keys=keys, shared=self._openings, give_back=give_back)

    def close(self, keys: EntryKeys, token: str, entry: bytes, ttl_ms: int) -> RedisCall[bool]:
        all_keys = (keys.entry, *keys.builds, *keys.generations)
        return self._script("cache_close", all_keys, [token, entry, ttl_ms, GENERATION_TTL_MS], read=bool)

    def wait_for_build(self, keys: EntryKeys, seconds: float) -> Request[object]:
        wake = self._key(keys.builds.wake)
        call: RedisCall[object] = RedisCall(("BLPOP", wake, seconds), profile=WAITS, url=self._url)
        return _Wait(call=call, wake=wake, seconds=seconds, shared=self._waits)

    # Counters

    def count(self, key: str, counts: dict[str, int]) -> RedisPipeline[object]:
        commands = (("HINCRBY", self._key(key), field, number) for field, number in counts.items())
        return self._pipeline(commands, pause=self._pause)

    def counted(self, key: str) -> RedisCall[dict[str, int]]:
        return RedisCall(("HGETALL", self._key(key)), _read_counts, CACHE, self._url)

    def _script(
        self,
        name: str,
        keys: Iterable[str],
        arguments: Sequence[Any],
        *,
        read: Callable[[Any], T] = as_it_is,
        profile: Profile = CACHE,
        pause: Pause | None = None,
    ) -> RedisCall[T]:
        all_keys = list(map(self._key, keys))
        return script_call(name, all_keys, arguments, read=read, profile=profile, url=self._url, pause=pause)

    def _pipeline(
        self, commands: Iterable[_Command], *, read: Callable[[Any], T] = as_it_is, pause: Pause | None = None
    ) -> RedisPipeline[T]:
        return RedisPipeline(tuple(commands), read, CACHE, self._url, pause)


_Command = tuple[Any, ...]


# What many tasks of an event loop ask at the same time is asked once.


class _Read:
    """An MGET; tasks share it."""

    # The hot path: not a dataclass, whose frozen fields are slow to set.
    __slots__ = ("_keys", "_store")

    def __init__(self, store: NativeStore, keys: list[str]) -> None:
        self._store = store
        self._keys = keys

    def run(self) -> Values:
        return self._store.mget_now(self._keys)

    async def arun(self) -> Values:
        return await self._store.mget_shared(self._keys)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Open:
    """The opening of an entry; tasks share one that lets none of them build."""

    call: RedisCall[Opening]
    keys: EntryKeys
    shared: SharedFlights[Opening]
    give_back: Callable[[], RedisCall[bool]]

    def run(self) -> Opening:
        return self.call.run()

    async def arun(self) -> Opening:
        while (flight := self.shared.join(self.keys)) is not None:
            opening = await asyncio.shield(flight)
            if opening.todo is not Todo.BUILD:
                return opening
        flight = self.shared.start(self.keys, self.call.arun)
        try:
            return await asyncio.shield(flight)
        except asyncio.CancelledError:
            with contextlib.suppress(RedisUnavailable):
                if (await to_its_end(flight)).todo is Todo.BUILD:
                    await to_its_end(self.give_back().arun())
            raise


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Wait:
    """The wait for a build; tasks that wait for the same one share it."""

    call: RedisCall[object]
    wake: str
    seconds: float
    shared: SharedFlights[object]

    def run(self) -> object:
        return self.call.run()

    async def arun(self) -> None:
        wait = self.shared.join(self.wake) or self.shared.start(self.wake, self._block)
        await asyncio.wait({wait}, timeout=self.seconds)

    async def _block(self) -> None:
        with contextlib.suppress(RedisUnavailable):  # asking again will tell
            await self.call.arun()


def _generation() -> bytes:
    return secrets.token_bytes(GENERATION_BYTES)


def _read_opening(reply: list[Any]) -> Opening:
    todo, header, entry, wait_ms = reply
    return Opening(todo=Todo(todo), header=header, entry=entry or None, wait_seconds=max(wait_ms, 0) / 1000)


def _read_counts(fields: Mapping[Any, Any]) -> dict[str, int]:
    return {name.decode(): int(number) for name, number in fields.items()}
