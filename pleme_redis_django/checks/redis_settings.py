"""Checks of the cache, the locks and the connections to Redis, from the settings alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Warning

from pleme_redis_django.conf import SETTING_NAME, get_settings
from pleme_redis_django.realtime.channel_layer import channel_layer_entry

DJANGO_REDIS = "django_redis.cache.RedisCache"
DJANGO_BUILT_IN = "django.core.cache.backends.redis.RedisCache"
DEFAULT_SERIALIZERS = {
    DJANGO_REDIS: "django_redis.serializers.pickle.PickleSerializer",
    DJANGO_BUILT_IN: "django.core.cache.backends.redis.RedisSerializer",
}
# What django-redis reads when it makes a pool; only the first alias of a URL has a say.
POOL_OPTIONS = (
    "USERNAME",
    "PASSWORD",
    "SOCKET_TIMEOUT",
    "SOCKET_CONNECT_TIMEOUT",
    "PARSER_CLASS",
    "CONNECTION_POOL_CLASS",
    "CONNECTION_POOL_KWARGS",
)
CORE_LAYER = "channels_redis.core.RedisChannelLayer"


def check_redis(**_kwargs: Any) -> Iterator[CheckMessage]:
    """E050, W051, W054, E055, W056, E059: what the settings say about Redis."""
    yield from _missing_alias()
    yield from _pickle()
    yield from _shared_database()
    yield from _shared_pools()
    yield from _channel_layers()


def _missing_alias() -> Iterator[CheckMessage]:
    alias = get_settings().cache_alias
    if alias not in django_settings.CACHES:
        yield Error(
            f'{SETTING_NAME}["CACHE_ALIAS"] is "{alias}", which is not in CACHES.',
            hint=f"Known aliases: {', '.join(django_settings.CACHES)}.",
            id="pleme_redis_django.E059",
        )


def _pickle() -> Iterator[CheckMessage]:
    alias = get_settings().cache_alias
    configured = django_settings.CACHES.get(alias, {})
    backend, options = configured.get("BACKEND"), configured.get("OPTIONS") or {}
    if backend not in DEFAULT_SERIALIZERS:
        return
    name = "SERIALIZER" if backend == DJANGO_REDIS else "serializer"
    serializer = options.get(name, DEFAULT_SERIALIZERS[backend])
    if "pickle" in str(serializer).lower() or serializer == DEFAULT_SERIALIZERS[DJANGO_BUILT_IN]:
        yield Error(
            f'The cache alias "{alias}" unpickles what it reads: anyone who can write to its Redis can run code here.',
            hint=f'Set CACHES["{alias}"]["OPTIONS"]["{name}"], with django-redis for instance to '
            '"django_redis.serializers.json.JSONSerializer". CacheManager never pickles, but sessions '
            "and cache_page on this alias do.",
            id="pleme_redis_django.E050",
        )


def _shared_database() -> Iterator[CheckMessage]:
    url = get_settings().url
    if url is None:
        return
    for alias, configured in django_settings.CACHES.items():
        if any(_database(location) == _database(url) for location in _locations(configured)):
            yield Warning(
                f'The cache alias "{alias}" and {SETTING_NAME}["URL"] are the same Redis database, and '
                "cache.clear() empties all of it, including locks, presence and hints.",
                hint=f'Give one of them another database number, for instance "/1" at the end of '
                f'CACHES["{alias}"]["LOCATION"].',
                id="pleme_redis_django.W051",
            )


def _shared_pools() -> Iterator[CheckMessage]:
    first_of: dict[str, tuple[str, dict[str, Any]]] = {}
    for alias, configured in django_settings.CACHES.items():
        if configured.get("BACKEND") != DJANGO_REDIS:
            continue
        options = {name: (configured.get("OPTIONS") or {}).get(name) for name in POOL_OPTIONS}
        for location in _locations(configured):
            first, its_options = first_of.setdefault(location, (alias, options))
            differing = [name for name in POOL_OPTIONS if its_options[name] != options[name]]
            if differing:
                yield Warning(
                    f'The cache aliases "{first}" and "{alias}" have the same LOCATION but a different {differing[0]}: '
                    "django-redis makes one pool for a URL, with the options of the alias that is used first.",
                    hint="Give them the same options, or different URLs, for instance with another database number.",
                    id="pleme_redis_django.W054",
                )


def _channel_layers() -> Iterator[CheckMessage]:
    for name, layer in getattr(django_settings, "CHANNEL_LAYERS", {}).items():
        if layer.get("BACKEND") != CORE_LAYER:
            continue
        hosts = (layer.get("CONFIG") or {}).get("hosts") or [None]
        hint = (
            f'CHANNEL_LAYERS["{name}"] = {channel_layer_entry.__name__}(url), imported from '
            f"{channel_layer_entry.__module__}."
        )
        entries = [host if isinstance(host, Mapping) else {} for host in hosts]
        if any(entry.get("socket_timeout", 0) is not None for entry in entries):
            yield Error(
                f'A host of the channel layer "{name}" does not have "socket_timeout": None: with redis-py 8 its '
                "consumers die after 5 s without messages.",
                hint=hint,
                id="pleme_redis_django.E055",
            )
        if any("max_connections" not in entry for entry in entries):
            yield Warning(
                f'A host of the channel layer "{name}" does not have "max_connections": redis-py 8 opens at most '
                "100, and every open socket needs one.",
                hint=hint,
                id="pleme_redis_django.W056",
            )


def _locations(configured: Mapping[str, Any]) -> list[str]:
    """Return the URLs of a cache alias; none when it is not a Redis."""
    location = configured.get("LOCATION") or ""
    parts = location.replace(";", ",").split(",") if isinstance(location, str) else location
    return [url.strip() for url in parts if str(url).strip().startswith(("redis", "unix"))]


def _database(url: str) -> tuple[str, str]:
    """Return server and database number of a Redis URL, in one form for all ways to write them."""
    parts = urlsplit(url)
    number = parse_qs(parts.query).get("db", [""])[-1]
    if parts.scheme == "unix":
        return parts.path, number or "0"
    host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname
    return f"{host}:{parts.port or 6379}", number or parts.path.strip("/") or "0"
