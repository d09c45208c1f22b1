"""Chooses the store for a Django cache alias: Redis itself where that is possible."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.redis import RedisCache as DjangoRedisCache
from django_redis.cache import RedisCache
from django_redis.client.default import DefaultClient

from pleme_redis_django.conf import forget_on_change
from pleme_redis_django.redis_state.cache.building import CacheStore
from pleme_redis_django.redis_state.cache.django_store import DjangoStore
from pleme_redis_django.redis_state.cache.native_store import NativeStore


@lru_cache(maxsize=32)
def store_of(alias: str) -> CacheStore:
    """Return the store of a cache alias, one for each process.

    Raises django's InvalidCacheBackendError when there is no such alias.
    """
    cache = caches[alias]
    url = native_url(alias)
    if url is None:
        return DjangoStore(alias)
    key_of, prefix, version = cache.key_func, cache.key_prefix, cache.version
    return NativeStore(url, lambda key: key_of(key, prefix, version))


def native_url(alias: str) -> str | None:
    """Return the URL of the Redis behind an alias; None when there is none, or more than one decides.

    Sentinel, sharding and the herd client are reached through Django's cache API only.
    """
    cache = caches[alias]
    configured: Mapping[str, Any] = settings.CACHES[alias]
    options: Mapping[str, Any] = configured.get("OPTIONS") or {}
    if type(cache) is RedisCache:
        plain = type(getattr(cache, "client", None)) is DefaultClient and "CONNECTION_FACTORY" not in options
        own = {name.lower(): options[name] for name in ("USERNAME", "PASSWORD") if options.get(name)}
        extra = options.get("CONNECTION_POOL_KWARGS") or {}
    elif type(cache) is DjangoRedisCache:
        plain, own, extra = True, {}, {name: options[name] for name in options if name != "serializer"}
    else:
        return None
    connection = {**own, **{name: value for name, value in extra.items() if name not in _POOL_OPTIONS}}
    if not plain or not all(isinstance(value, str | int | float) for value in connection.values()):
        return None
    return _with_options(_primary(configured["LOCATION"]), connection)


# Options of a pool or of its patience, which connections.py decides here.
_POOL_OPTIONS = frozenset(
    {"max_connections", "socket_timeout", "socket_connect_timeout", "socket_keepalive", "retry_on_timeout"}
)


def _primary(location: str | list[str] | tuple[str, ...]) -> str:
    # Replicas lag: a read from one after a flush would bring back what was flushed.
    servers = location.replace(";", ",").split(",") if isinstance(location, str) else location
    return servers[0].strip()


def _with_options(url: str, options: Mapping[str, Any]) -> str:
    if not options:
        return url
    query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in options.items())
    return f"{url}{'&' if '?' in url else '?'}{query}"


forget_on_change(store_of.cache_clear, of="CACHES")
