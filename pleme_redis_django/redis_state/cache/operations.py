"""What each cache operation does, step by step, for the sync and the async manager alike.

An operation is a flow: it yields what the store is to do, or a build, and is sent the answers. While Redis is away,
reads miss; what invalidates raises.
"""

from __future__ import annotations

import contextlib
import logging
import math
import random
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pleme_redis_django.exceptions import JobCancelled, NotACounter, RedisUnavailable
from pleme_redis_django.redis_state.cache import envelope
from pleme_redis_django.redis_state.cache.building import (
    Build,
    CacheStore,
    EntryKeys,
    Opening,
    Todo,
    Unbroken,
)
from pleme_redis_django.redis_state.cache.counters import Counts
from pleme_redis_django.redis_state.cache.limits import Recipe, Uncached, packed, validate_key
from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.redis_state.server.connections import SHORTEST_BLOCK_SECONDS
from pleme_redis_django.redis_state.server.flows import Flow

logger = logging.getLogger("pleme_redis_django.cache")

WAIT_SLICE_SECONDS = 2.0


class Operations:
    """The operations on one product's entries."""

    def __init__(self, product: str, store: CacheStore, counts: Counts, max_value_bytes: int) -> None:
        self.product = product
        self._store = store
        self._counts = counts
        self._max_value_bytes = max_value_bytes
        self._generation_key = keyspace.cache_generation(product)

    # Reading

    def get(self, key: str, default: Any) -> Flow[Any]:
        entry_key = self._entry(key)
        try:
            generation, entry = yield self._store.mget([self._generation_key, entry_key])
            if entry is not None:
                value = envelope.simple_value_of(entry, generation)
                if value is not envelope.LOOK_CLOSER:
                    yield from self._note_read(1, 0, len(entry))
                    return value
            usable = yield from self._usable({entry_key: entry}, generation)
        except RedisUnavailable as outage:
            _report(outage)
            return default
        values = _decoded([key], [entry_key], usable)
        yield from self._note_read(len(values), 1 - len(values), len(entry or b""))
        return values.get(key, default)

    def get_many(self, keys: Iterable[str]) -> Flow[dict[str, Any]]:
        return (yield from self._read(list(dict.fromkeys(keys))))

    def _read(self, keys: list[str]) -> Flow[dict[str, Any]]:
        if not keys:
            return {}
        entry_keys = [self._entry(key) for key in keys]
        try:
            generation, *entries = yield self._store.mget([self._generation_key, *entry_keys])
            usable = yield from self._usable(dict(zip(entry_keys, entries, strict=True)), generation)
        except RedisUnavailable as outage:
            _report(outage)
            return {}
        values = _decoded(keys, entry_keys, usable)
        size = sum(map(len, usable.values()))
        yield from self._note_read(len(values), len(keys) - len(values), size)
        return values

    def _usable(
        self, entries: Mapping[str, bytes | None], generation: bytes | None
    ) -> Flow[dict[str, bytes]]:
        """Keep what was stored under the generations of now and is not stale."""
        live = {key: entry for key, entry in entries.items() if entry and envelope.is_of(entry, generation)}
        tags = {tag for entry in live.values() for tag in envelope.tags_of(entry)}
        if tags:
            tag_keys = [keyspace.cache_tag(self.product, tag) for tag, _ in tags]
            current = yield self._store.mget(tag_keys)
            gone = {tag for tag, now in zip(tags, current, strict=True) if tag[1] != now}
            live = {key: entry for key, entry in live.items() if gone.isdisjoint(envelope.tags_of(entry))}
        ageing = {key: grace for key, entry in live.items() if (grace := _grace_ms(entry))}
        if ageing:
            left = yield self._store.pttl(list(ageing))
            for (key, grace), left_ms in zip(ageing.items(), left, strict=True):
                if left_ms <= grace:
                    del live[key]
        return live

    # Writing

    def set(self, key: str, value: Any, ttl_ms: int, tags: tuple[str, ...]) -> Flow[bool]:
        keys, tail = self._keys(key, tags), packed(value, key, self._max_value_bytes)
        try:
            yield self._store.write(keys, tail, ttl_ms)
        except RedisUnavailable as outage:
            _report(outage)
            return False
        yield from self._note_write(1, len(tail))
        return True

    def set_many(self, values: Mapping[str, Any], ttl_ms: int, tags: tuple[str, ...]) -> Flow[bool]:
        tails = {self._entry(key): packed(value, key, self._max_value_bytes) for key, value in values.items()}
        if not tails:
            return True
        try:
            header = yield self._store.header(self._keys("-", tags))
            yield self._store.mset({key: header + tail for key, tail in tails.items()}, ttl_ms)
        except RedisUnavailable as outage:
            _report(outage)
            return False
        yield from self._note_write(len(tails), sum(map(len, tails.values())))
        return True

    def touch(self, key: str, ttl_ms: int) -> Flow[bool]:
        entry_key = self._entry(key)
        generation, entry = yield self._store.mget([self._generation_key, entry_key])
        if not (yield from self._usable({entry_key: entry}, generation)):
            return False
        return bool((yield self._store.expire(entry_key, ttl_ms + _grace_ms(entry))))

    def increment(self, key: str, delta: int) -> Flow[int]:
        answer = yield self._store.increment(self._keys(key), delta)
        if isinstance(answer, bytes):
            return int(answer)
        reason = ("is missing", "holds no whole number, or carries tags", "would reach 2^53")[answer]
        raise NotACounter(f"{key[:80]!r} {reason}. Start a counter with set(key, 0, timeout).")

    # Removing

    def delete_many(self, keys: Iterable[str]) -> Flow[int]:
        entry_keys = [self._entry(key) for key in keys]
        return (yield self._store.delete(entry_keys)) if entry_keys else 0

    def flush_product(self) -> Flow[None]:
        yield self._store.renew_generations([self._generation_key])

    def flush_tags(self, tags: tuple[str, ...]) -> Flow[None]:
        yield self._store.renew_generations([keyspace.cache_tag(self.product, tag) for tag in tags])

    # Building

    def get_or_set(self, key: str, builder: Callable[[], Any], recipe: Recipe) -> Flow[Any]:
        keys, token = self._keys(key, recipe.tag_digests), secrets.token_hex(16)
        give_up_at = time.monotonic() + recipe.wait_seconds
        while True:
            try:
                opening: Opening = yield self._store.open(
                    keys, token, recipe.lease_ms, _earliness(recipe.beta)
                )
            except RedisUnavailable as outage:
                _report(outage)
                return _plain((yield Build(builder)))
            if opening.todo is Todo.BUILD:
                yield from self._note_read(0, 1, 0)
                return (yield from self._build(key, keys, token, opening, builder, recipe))
            if opening.entry is not None:
                return (yield from self._use(opening.entry))
            left = give_up_at - time.monotonic()
            if left <= 0:
                return _plain((yield Build(builder)))
            seconds = max(min(opening.wait_seconds, left, WAIT_SLICE_SECONDS), SHORTEST_BLOCK_SECONDS)
            with contextlib.suppress(RedisUnavailable):
                yield self._store.wait_for_build(keys, seconds)

    def _use(self, entry: bytes) -> Flow[Any]:
        value = envelope.value_of(entry)
        yield from self._note_read(1, 0, len(entry))
        return value

    def _build(
        self,
        key: str,
        keys: EntryKeys,
        token: str,
        opening: Opening,
        builder: Callable[[], Any],
        recipe: Recipe,
    ) -> Flow[Any]:
        """Build, store and wake waiting callers; after a failure one of them builds.

        A refresh that fails costs its reader nothing: the entry may still be used.
        """
        started = time.monotonic()
        try:
            value = yield Build(builder)
        except GeneratorExit:
            raise
        except BaseException as failure:
            yield from self._give_back(keys, token)
            if (
                opening.entry is None
                or not isinstance(failure, Exception)
                or isinstance(failure, JobCancelled)
            ):
                raise
            logger.warning("building %.80r again failed; the existing entry is used", key, exc_info=True)
            return envelope.value_of(opening.entry)
        try:
            ttl_ms, build_ms = recipe.ttl_ms_of(value), int((time.monotonic() - started) * 1000)
            entry = opening.header + self._packed(key, value, recipe, build_ms) if ttl_ms else b""
        except BaseException:
            yield from self._give_back(keys, token)
            raise
        try:
            stored = yield Unbroken(self._store.close(keys, token, entry, ttl_ms + recipe.grace_ms))
        except RedisUnavailable as outage:
            _report(outage)
        else:
            if stored:
                yield from self._note_write(1, len(entry))
            elif entry and build_ms >= recipe.lease_ms:
                logger.warning(
                    "building %.80r took %.1f s, longer than its build_seconds of %.1f: it was not stored",
                    *(key, build_ms / 1000, recipe.lease_ms / 1000),
                )
        return _plain(value)

    def _packed(self, key: str, value: Any, recipe: Recipe, build_ms: int) -> bytes:
        return packed(value, key, self._max_value_bytes, grace_ms=recipe.grace_ms, build_ms=build_ms)

    def _give_back(self, keys: EntryKeys, token: str) -> Flow[None]:
        with contextlib.suppress(RedisUnavailable):
            yield Unbroken(self._store.close(keys, token, b"", 0))

    def get_or_set_many(
        self, keys: Iterable[str], loader: Callable[[list[str]], Any], ttl_ms: int, tags: tuple[str, ...]
    ) -> Flow[dict[str, Any]]:
        wanted = list(dict.fromkeys(keys))
        # Before the load, so that a flush during it voids what it found.
        try:
            header = (yield self._store.header(self._keys("-", tags))) if wanted else b""
        except RedisUnavailable:
            header = b""
        found = yield from self._read(wanted)
        missing = [key for key in wanted if key not in found]
        if not missing:
            return found
        loaded: Mapping[str, Any] = yield Build(lambda: loader(missing))
        tails = {self._entry(key): packed(loaded[key], key, self._max_value_bytes) for key in loaded}
        if header and tails:
            with contextlib.suppress(RedisUnavailable):
                yield self._store.mset({key: header + tail for key, tail in tails.items()}, ttl_ms)
            yield from self._note_write(len(tails), sum(map(len, tails.values())))
        return found | {key: loaded[key] for key in missing if key in loaded}

    # Counting

    def stats(self) -> Flow[dict[str, int]]:
        yield from self._flush_counts()
        counted: dict[str, int] = yield self._store.counted(keyspace.cache_counters(self.product))
        return counted

    def _note_read(self, hits: int, misses: int, size: int) -> Flow[None]:
        if self._counts.read(hits=hits, misses=misses, size_bytes=size):
            yield from self._flush_counts()

    def _note_write(self, entries: int, size: int) -> Flow[None]:
        if self._counts.written(entries=entries, size_bytes=size):
            yield from self._flush_counts()

    def _flush_counts(self) -> Flow[None]:
        taken = self._counts.take()
        if not taken:
            return
        try:
            yield self._store.count(keyspace.cache_counters(self.product), taken)
        except RedisUnavailable:
            self._counts.put_back(taken)

    def _entry(self, key: str) -> str:
        return keyspace.cache_entry(self.product, validate_key(key))

    def _keys(self, key: str, tag_digests: tuple[str, ...] = ()) -> EntryKeys:
        return EntryKeys(product=self.product, entry=self._entry(key), tag_digests=tag_digests)


def _decoded(keys: list[str], entry_keys: list[str], usable: Mapping[str, bytes]) -> dict[str, Any]:
    values = {}
    for key, entry_key in zip(keys, entry_keys, strict=True):
        if entry_key in usable:
            try:
                values[key] = envelope.value_of(usable[entry_key])
            except ValueError:
                logger.warning("a cache entry that this package did not write counts as missing")
    return values


def _grace_ms(entry: bytes | None) -> int:
    try:
        return envelope.grace_ms_of(entry) if entry else 0
    except ValueError:
        return 0


def _earliness(beta: float) -> float:
    return -math.log(1.0 - random.random()) * beta if beta else 0.0  # noqa: S311 - spreads load, guards nothing


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Uncached) else value


_reported_at = -math.inf


def _report(outage: RedisUnavailable) -> None:
    """Log an outage once a minute: each read would say it otherwise."""
    global _reported_at
    if time.monotonic() - _reported_at > 60:
        _reported_at = time.monotonic()
        logger.warning("the cache does without Redis: %s", outage)
