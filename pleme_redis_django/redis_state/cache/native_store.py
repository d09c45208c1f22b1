"""Entries in the Redis of a Django cache alias, without the alias's serializer: bytes and Lua.

Its connections are its own: django-redis shares pools by URL alone, so that another alias's options
(timeouts, decoding) could apply, and it has no async client.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any

import redis
import redis.asyncio

from pleme_redis_django.exceptions import RedisUnavailable
from pleme_redis_django.redis_state.cache.building import EntryKeys, Opening, Todo
from pleme_redis_django.redis_state.cache.envelope import GENERATION_BYTES
from pleme_redis_django.redis_state.cache.read_batch import ReadBatch
from pleme_redis_django.redis_state.cache.shared_flights import SharedFlights
from pleme_redis_django.redis_state.cancellation import blocking, to_its_end
from pleme_redis_django.redis_state.connections import (
    CACHE,
    PUBLISHING,
    WAITS,
    async_redis_client,
    redis_client,
)
from pleme_redis_django.redis_state.keyspace import cache_build_keys
from pleme_redis_django.redis_state.loop_registry import LoopRegistry
from pleme_redis_django.redis_state.outages import OUTAGES, outages_as_unavailable, unavailable
from pleme_redis_django.redis_state.scripts import script

# Longer than any entry lives, so that a generation outlives what was stored under it.
GENERATION_TTL_MS = 31 * 24 * 3600 * 1000

# After an outage, reads do without Redis for a moment instead of each waiting for a timeout.
PAUSE_SECONDS = 1.0


class NativeStore:
    """The store behind a django-redis or Django Redis alias; one for an alias and process."""

    def __init__(self, url: str, make_key: Callable[[str], str]) -> None:
        self._url = url
        self._key = make_key
        self._paused_until = 0.0
        self._openings: SharedFlights[Opening] = SharedFlights()
        self._waits: SharedFlights[None] = SharedFlights()
        self._batches: LoopRegistry[None, ReadBatch] = LoopRegistry()

    # Reads

    def mget(self, keys: list[str]) -> list[bytes | None]:
        # The hot path: no context manager, and not through redis-py's mget(), which adds a layer.
        if self._paused_until:
            self._check_pause()
        execute: Callable[..., Any] = redis_client(CACHE, self._url).execute_command
        try:
            values: list[bytes | None] = execute("MGET", *map(self._key, keys))
        except OUTAGES as error:
            self._pause()
            raise unavailable(error) from error
        return values

    async def amget(self, keys: list[str]) -> list[bytes | None]:
        """Read together with what other tasks read in this turn of the event loop: one MGET for all."""
        batch = self._batches.get(None, self._new_batch)
        if batch.closed:
            self._batches.discard(None)
            batch = self._batches.get(None, self._new_batch)
        with self._outage_pauses():
            return await batch.read([self._key(key) for key in keys])

    def _new_batch(self) -> ReadBatch:
        return ReadBatch(self._amget_now)

    async def _amget_now(self, keys: list[str]) -> list[bytes | None]:
        with outages_as_unavailable():
            execute: Callable[..., Awaitable[list[bytes | None]]] = self._aclient().execute_command
            return await execute("MGET", *keys)

    def pttl(self, keys: list[str]) -> list[int]:
        with self._outage_pauses():
            return self._pttl_pipeline(self._client(), keys).execute()  # type: ignore[no-any-return]

    async def apttl(self, keys: list[str]) -> list[int]:
        with self._outage_pauses():
            return await self._pttl_pipeline(self._aclient(), keys).execute()  # type: ignore[no-any-return]

    def _pttl_pipeline(self, client: Any, keys: list[str]) -> Any:
        pipeline = client.pipeline(transaction=False)
        for key in keys:
            pipeline.pttl(self._key(key))
        return pipeline

    # Writes

    def write(self, keys: EntryKeys, tail: bytes, ttl_ms: int) -> None:
        with self._outage_pauses():
            script("cache_write").run(self._client(), *self._write_call(keys, tail, ttl_ms))

    async def awrite(self, keys: EntryKeys, tail: bytes, ttl_ms: int) -> None:
        with self._outage_pauses():
            await script("cache_write").arun(self._aclient(), *self._write_call(keys, tail, ttl_ms))

    def _write_call(self, keys: EntryKeys, tail: bytes, ttl_ms: int) -> tuple[list[str], list[Any]]:
        return (
            [self._key(key) for key in (keys.entry, keys.builds.lease, *keys.generations)],
            [tail, ttl_ms, _generation(), GENERATION_TTL_MS, *keys.raw_digests],
        )

    def header(self, keys: EntryKeys) -> bytes:
        with self._outage_pauses():
            return script("cache_header").run(self._client(), *self._header_call(keys))  # type: ignore[no-any-return]

    async def aheader(self, keys: EntryKeys) -> bytes:
        with self._outage_pauses():
            return await script("cache_header").arun(self._aclient(), *self._header_call(keys))  # type: ignore[no-any-return]

    def _header_call(self, keys: EntryKeys) -> tuple[list[str], list[Any]]:
        return (
            [self._key(key) for key in keys.generations],
            [_generation(), GENERATION_TTL_MS, *keys.raw_digests],
        )

    def mset(self, entries: dict[str, bytes], ttl_ms: int) -> None:
        with self._outage_pauses():
            self._mset_pipeline(self._client(), entries, ttl_ms).execute()

    async def amset(self, entries: dict[str, bytes], ttl_ms: int) -> None:
        with self._outage_pauses():
            await self._mset_pipeline(self._aclient(), entries, ttl_ms).execute()

    def _mset_pipeline(self, client: Any, entries: dict[str, bytes], ttl_ms: int) -> Any:
        return self._add_sets(self._pipeline_without_leases(client, entries), entries, ttl_ms)

    def _set_pipeline(self, client: Any, entries: dict[str, bytes], ttl_ms: int) -> Any:
        return self._add_sets(client.pipeline(transaction=False), entries, ttl_ms)

    def _pipeline_without_leases(self, client: Any, keys: Iterable[str]) -> Any:
        """Start a pipeline with what keeps builds under way from storing over what follows in it."""
        pipeline = client.pipeline(transaction=False)
        pipeline.unlink(*(self._key(cache_build_keys(key).lease) for key in keys))
        return pipeline

    def _add_sets(self, pipeline: Any, entries: dict[str, bytes], ttl_ms: int) -> Any:
        for key, entry in entries.items():
            pipeline.set(self._key(key), entry, px=ttl_ms)
        return pipeline

    def expire(self, key: str, ttl_ms: int) -> bool:
        with outages_as_unavailable():
            return bool(self._client().pexpire(self._key(key), ttl_ms))

    async def aexpire(self, key: str, ttl_ms: int) -> bool:
        with outages_as_unavailable():
            return bool(await self._aclient().pexpire(self._key(key), ttl_ms))

    def increment(self, keys: EntryKeys, delta: int) -> bytes | int:
        # Not idempotent, so through the profile that does not try again.
        client = redis_client(PUBLISHING, self._url)
        return script("cache_increment").run(client, *self._increment_call(keys, delta))  # type: ignore[no-any-return]

    async def aincrement(self, keys: EntryKeys, delta: int) -> bytes | int:
        client = async_redis_client(PUBLISHING, self._url)
        return await script("cache_increment").arun(client, *self._increment_call(keys, delta))  # type: ignore[no-any-return]

    def _increment_call(self, keys: EntryKeys, delta: int) -> tuple[list[str], list[Any]]:
        all_keys = (keys.entry, keys.builds.lease, keys.generations[0])
        return [self._key(key) for key in all_keys], [delta]

    # Invalidation: never skipped after an outage, for what is not deleted is served on

    def delete(self, keys: list[str]) -> int:
        with outages_as_unavailable():
            return int(self._delete_pipeline(self._client(), keys).execute()[1])

    async def adelete(self, keys: list[str]) -> int:
        with outages_as_unavailable():
            return int((await self._delete_pipeline(self._aclient(), keys).execute())[1])

    def _delete_pipeline(self, client: Any, keys: list[str]) -> Any:
        # The leases first: a build that ends between the two commands has stored what the second one removes.
        return self._pipeline_without_leases(client, keys).unlink(*(self._key(key) for key in keys))

    def renew_generations(self, keys: list[str]) -> None:
        with outages_as_unavailable():
            self._set_pipeline(self._client(), _new_generations(keys), GENERATION_TTL_MS).execute()

    async def arenew_generations(self, keys: list[str]) -> None:
        with outages_as_unavailable():
            await self._set_pipeline(self._aclient(), _new_generations(keys), GENERATION_TTL_MS).execute()

    # Building

    def open(self, keys: EntryKeys, token: str, lease_ms: int, earliness: float) -> Opening:
        with self._outage_pauses():
            call = self._open_call(keys, token, lease_ms, earliness)
            return _read_opening(script("cache_open").run(self._client(), *call))

    async def aopen(self, keys: EntryKeys, token: str, lease_ms: int, earliness: float) -> Opening:
        """Join the opening of the same entry that is under way, unless it makes somebody else build."""
        while (flight := self._openings.join(keys)) is not None:
            opening = await asyncio.shield(flight)
            if opening.todo is not Todo.BUILD:
                return opening
        flight = self._openings.start(keys, lambda: self._aopen_now(keys, token, lease_ms, earliness))
        try:
            return await asyncio.shield(flight)
        except asyncio.CancelledError:
            with contextlib.suppress(RedisUnavailable):
                if (await to_its_end(flight)).todo is Todo.BUILD:
                    await to_its_end(self.aclose(keys, token, b"", 0))
            raise

    async def _aopen_now(self, keys: EntryKeys, token: str, lease_ms: int, earliness: float) -> Opening:
        with self._outage_pauses():
            call = self._open_call(keys, token, lease_ms, earliness)
            return _read_opening(await script("cache_open").arun(self._aclient(), *call))

    def _open_call(
        self, keys: EntryKeys, token: str, lease_ms: int, earliness: float
    ) -> tuple[list[str], list[Any]]:
        return (
            [self._key(key) for key in (keys.entry, *keys.builds[:2], *keys.generations)],
            [token, lease_ms, _generation(), GENERATION_TTL_MS, f"{earliness:.6f}", *keys.raw_digests],
        )

    def close(self, keys: EntryKeys, token: str, entry: bytes, ttl_ms: int) -> bool:
        with outages_as_unavailable():
            call = self._close_call(keys, token, entry, ttl_ms)
            return bool(script("cache_close").run(self._client(), *call))

    async def aclose(self, keys: EntryKeys, token: str, entry: bytes, ttl_ms: int) -> bool:
        with outages_as_unavailable():
            call = self._close_call(keys, token, entry, ttl_ms)
            return bool(await script("cache_close").arun(self._aclient(), *call))

    def _close_call(
        self, keys: EntryKeys, token: str, entry: bytes, ttl_ms: int
    ) -> tuple[list[str], list[Any]]:
        all_keys = (keys.entry, *keys.builds, *keys.generations)
        return [self._key(key) for key in all_keys], [
            token,
            entry,
            ttl_ms,
            GENERATION_TTL_MS,
        ]

    def wait_for_build(self, keys: EntryKeys, seconds: float) -> None:
        with outages_as_unavailable():
            redis_client(WAITS, self._url).blpop([self._key(keys.builds.wake)], timeout=seconds)

    async def await_for_build(self, keys: EntryKeys, seconds: float) -> None:
        """Join the wait for the same build, if another task waits for it."""
        wake = self._key(keys.builds.wake)
        wait = self._waits.join(wake) or self._waits.start(wake, lambda: self._ablock(wake, seconds))
        await asyncio.wait({wait}, timeout=seconds)

    async def _ablock(self, wake: str, seconds: float) -> None:
        with contextlib.suppress(*OUTAGES):  # asking again will tell
            await blocking(async_redis_client(WAITS, self._url).blpop([wake], timeout=seconds))

    # Counters

    def count(self, key: str, counts: dict[str, int]) -> None:
        with self._outage_pauses():
            self._count_pipeline(self._client(), key, counts).execute()

    async def acount(self, key: str, counts: dict[str, int]) -> None:
        with self._outage_pauses():
            await self._count_pipeline(self._aclient(), key, counts).execute()

    def _count_pipeline(self, client: Any, key: str, counts: dict[str, int]) -> Any:
        pipeline = client.pipeline(transaction=False)
        for field, number in counts.items():
            pipeline.hincrby(self._key(key), field, number)
        return pipeline

    def counted(self, key: str) -> dict[str, int]:
        with outages_as_unavailable():
            return _read_counts(self._client().hgetall(self._key(key)))

    async def acounted(self, key: str) -> dict[str, int]:
        with outages_as_unavailable():
            return _read_counts(await self._aclient().hgetall(self._key(key)))

    def _client(self) -> redis.Redis:
        return redis_client(CACHE, self._url)

    def _aclient(self) -> redis.asyncio.Redis:
        return async_redis_client(CACHE, self._url)

    @contextlib.contextmanager
    def _outage_pauses(self) -> Iterator[None]:
        """Raise RedisUnavailable at once for a moment after an outage."""
        if self._paused_until:
            self._check_pause()
        try:
            yield
        except OUTAGES as error:
            self._pause()
            raise unavailable(error) from error
        except RedisUnavailable:
            self._pause()
            raise

    def _check_pause(self) -> None:
        if time.monotonic() < self._paused_until:
            raise RedisUnavailable("Redis was away a moment ago; the cache is not asked again yet.")
        self._paused_until = 0.0

    def _pause(self) -> None:
        self._paused_until = time.monotonic() + PAUSE_SECONDS


def _generation() -> bytes:
    return secrets.token_bytes(GENERATION_BYTES)


def _new_generations(keys: list[str]) -> dict[str, bytes]:
    return {key: _generation() for key in keys}


def _read_opening(reply: list[Any]) -> Opening:
    todo, header, entry, wait_ms = reply
    return Opening(todo=Todo(todo), header=header, entry=entry or None, wait_seconds=max(wait_ms, 0) / 1000)


def _read_counts(fields: Mapping[Any, Any]) -> dict[str, int]:
    return {name.decode(): int(number) for name, number in fields.items()}
