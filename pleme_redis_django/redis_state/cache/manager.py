"""CacheManager: the cache of one product, on a Django cache alias."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Unpack

from django.core.cache import caches
from django.core.cache.backends.base import DEFAULT_TIMEOUT

from pleme_redis_django.conf import get_settings, resolve_product
from pleme_redis_django.redis_state.cache import limits
from pleme_redis_django.redis_state.cache.counters import CacheStats, counts_of
from pleme_redis_django.redis_state.cache.limits import BuildOptions, recipe, tag_digests, timeout_ms
from pleme_redis_django.redis_state.cache.operations import Operations
from pleme_redis_django.redis_state.cache.stores import store_of
from pleme_redis_django.redis_state.server.flows import arun, run

Builder = Callable[[], Any] | Callable[[], Awaitable[Any]]


class CacheManager:
    """One product's entries in a Django cache; another product's never meet them.

    Values are typed JSON (see ``codec.py``), never pickles. ``timeout`` is in seconds, 0.001 to 30
    days; left out, it is the alias's TIMEOUT. ``product`` and ``alias`` may be left out where the
    settings name them. Reads and writes do not raise if Redis is away; what removes entries raises
    RedisUnavailable. Each method has an async twin with the prefix ``a``.
    """

    def __init__(self, product: str | None = None, *, alias: str | None = None) -> None:
        settings = get_settings()
        self.product = resolve_product(product)
        self.alias = alias or settings.cache_alias
        self._store = store_of(self.alias)
        self._do = Operations(
            self.product, self._store, counts_of(self.alias, self.product), settings.cache_max_value_bytes
        )

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of ``key``, or ``default``; one round trip, a second for an entry with tags.

        Async tasks that ask in the same turn of the event loop share one MGET.
        """
        return run(self._do.get(key, default))

    async def aget(self, key: str, default: Any = None) -> Any:
        return await arun(self._do.get(key, default))

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return the cached values by key; one round trip."""
        return run(self._do.get_many(keys))

    async def aget_many(self, keys: Iterable[str]) -> dict[str, Any]:
        return await arun(self._do.get_many(keys))

    def set(
        self, key: str, value: Any, timeout: object = DEFAULT_TIMEOUT, *, tags: Iterable[str] = ()
    ) -> bool:
        """Store a value; False if Redis is away. One round trip.

        Raises UncacheableValue for a type that would not come back the same, ValueTooLarge over
        ``PLEME_REDIS["CACHE_MAX_VALUE_BYTES"]``, InvalidNumber for a timeout of 0, below, or None.
        """
        return run(self._do.set(key, value, self._ttl_ms(timeout), tag_digests(tags)))

    async def aset(
        self, key: str, value: Any, timeout: object = DEFAULT_TIMEOUT, *, tags: Iterable[str] = ()
    ) -> bool:
        return await arun(self._do.set(key, value, self._ttl_ms(timeout), tag_digests(tags)))

    def set_many(
        self, values: Mapping[str, Any], timeout: object = DEFAULT_TIMEOUT, *, tags: Iterable[str] = ()
    ) -> bool:
        """Store several values; False if Redis is away. Two round trips, however many values."""
        return run(self._do.set_many(values, self._ttl_ms(timeout), tag_digests(tags)))

    async def aset_many(
        self, values: Mapping[str, Any], timeout: object = DEFAULT_TIMEOUT, *, tags: Iterable[str] = ()
    ) -> bool:
        return await arun(self._do.set_many(values, self._ttl_ms(timeout), tag_digests(tags)))

    def delete(self, key: str) -> bool:
        """Remove an entry; return whether there was one. Raises RedisUnavailable: readers would still get it."""
        return bool(run(self._do.delete_many([key])))

    async def adelete(self, key: str) -> bool:
        return bool(await arun(self._do.delete_many([key])))

    def delete_many(self, keys: Iterable[str]) -> int:
        """Remove entries; return how many there were. Raises RedisUnavailable."""
        return run(self._do.delete_many(keys))

    async def adelete_many(self, keys: Iterable[str]) -> int:
        return await arun(self._do.delete_many(keys))

    def touch(self, key: str, timeout: object = DEFAULT_TIMEOUT) -> bool:
        """Start an entry's time to live again; False if it is missing. Raises RedisUnavailable."""
        return run(self._do.touch(key, self._ttl_ms(timeout)))

    async def atouch(self, key: str, timeout: object = DEFAULT_TIMEOUT) -> bool:
        return await arun(self._do.touch(key, self._ttl_ms(timeout)))

    def incr(self, key: str, delta: int = 1) -> int:
        """Add to a whole number in one atomic step, and return the sum; its time to live stays.

        Raises NotACounter (a ValueError) if there is none, RedisUnavailable if Redis is away; then it may or
        may not have been added.
        """
        return run(self._do.increment(key, limits.whole_number(delta)))

    async def aincr(self, key: str, delta: int = 1) -> int:
        return await arun(self._do.increment(key, limits.whole_number(delta)))

    def decr(self, key: str, delta: int = 1) -> int:
        return self.incr(key, -limits.whole_number(delta))

    async def adecr(self, key: str, delta: int = 1) -> int:
        return await self.aincr(key, -limits.whole_number(delta))

    def get_or_set(
        self,
        key: str,
        builder: Callable[[], Any],
        timeout: object = DEFAULT_TIMEOUT,
        **options: Unpack[BuildOptions],
    ) -> Any:
        """Return the value of ``key``; build and store it if it is missing, in one process at a time.

        - ``tags``: what ``flush_tags`` finds the entry by.
        - ``grace``: for how many seconds after ``timeout`` readers get the stale value while one caller
          builds the next; without it, the others wait for the build.
        - ``beta`` (1): readers may build ahead of time. The longer a build takes, and the closer the end is, the
          more probable that is (XFetch); 0: never ahead of time.
        - ``none_timeout``: for how long a None is kept; None: like any value, 0: not at all.
        - ``build_seconds`` (30): how long one caller may build before another one may, too.
        - ``wait_seconds`` (30): how long to wait for another builder before building uncached.

        If a builder returns ``Uncached(value)``, the caller gets the value, and the cache does not keep it. The
        result is not stored after a flush, a delete or a write of the entry during the build, or if the build takes
        longer than ``build_seconds``. If a builder fails while the entry may still be used, that is logged, and the
        entry is returned. If Redis is away, every caller builds. The async twin runs a builder that is not a
        coroutine function in a thread.
        """
        return run(self._do.get_or_set(key, builder, recipe(self._ttl_ms(timeout), **options)))

    async def aget_or_set(
        self, key: str, builder: Builder, timeout: object = DEFAULT_TIMEOUT, **options: Unpack[BuildOptions]
    ) -> Any:
        return await arun(self._do.get_or_set(key, builder, recipe(self._ttl_ms(timeout), **options)))

    def get_or_set_many(
        self,
        keys: Iterable[str],
        loader: Callable[[list[str]], Mapping[str, Any]],
        timeout: object = DEFAULT_TIMEOUT,
        *,
        tags: Iterable[str] = (),
    ) -> dict[str, Any]:
        """Return the values of ``keys``; ``loader`` is called once, with those that are missing.

        What it leaves out is left out of the result. Other processes may load the same meanwhile. After a flush
        during the load, nothing is stored; a write or a delete of one entry does not prevent that.
        """
        steps = self._do.get_or_set_many(keys, loader, self._ttl_ms(timeout), tag_digests(tags))
        return run(steps)

    async def aget_or_set_many(
        self,
        keys: Iterable[str],
        loader: Callable[[list[str]], Any],
        timeout: object = DEFAULT_TIMEOUT,
        *,
        tags: Iterable[str] = (),
    ) -> dict[str, Any]:
        steps = self._do.get_or_set_many(keys, loader, self._ttl_ms(timeout), tag_digests(tags))
        return await arun(steps)

    def flush_product(self) -> None:
        """Make every entry of the product a miss, even those that are being built; O(1).

        Raises RedisUnavailable if Redis is away: readers would still get the entries.
        """
        run(self._do.flush_product())

    async def aflush_product(self) -> None:
        await arun(self._do.flush_product())

    def flush_tags(self, *tags: str) -> None:
        """Make every entry with one of these tags a miss, even those that are being built; O(tags).

        Raises RedisUnavailable if Redis is away.
        """
        run(self._do.flush_tags(tag_digests(tags)))

    async def aflush_tags(self, *tags: str) -> None:
        await arun(self._do.flush_tags(tag_digests(tags)))

    def stats(self) -> CacheStats:
        """Return hits, misses, writes and bytes of the product, of all processes.

        Each process reports every 10 s or 1,000 operations, as part of an operation.
        """
        return CacheStats(**run(self._do.stats()))

    async def astats(self) -> CacheStats:
        return CacheStats(**await arun(self._do.stats()))

    def __repr__(self) -> str:
        return f"CacheManager({self.product!r}, alias={self.alias!r})"

    def _ttl_ms(self, timeout: object) -> int:
        if timeout is not DEFAULT_TIMEOUT:
            return timeout_ms(timeout)
        default = caches[self.alias].default_timeout
        return timeout_ms(limits.LONGEST_TIMEOUT_SECONDS if default is None else default)
