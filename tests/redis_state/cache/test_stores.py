from __future__ import annotations

from typing import Any

from pleme_redis_django import CacheManager
from pleme_redis_django.redis_state.cache.stores import native_url, store_of


def test_sentinel_and_sharded_aliases_go_through_djangos_api(settings: Any) -> None:
    ours = settings.CACHES["default"]
    settings.CACHES = {
        "default": ours,
        "herd": {**ours, "OPTIONS": {"CLIENT_CLASS": "django_redis.client.HerdClient"}},
        "django": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": ours["LOCATION"]},
        "secret": {**ours, "LOCATION": "redis://h:1/2", "OPTIONS": {"PASSWORD": "a/b?"}},
        "replicated": {**ours, "LOCATION": ["redis://primary/1", "redis://replica/1"]},
    }
    assert native_url("herd") is None
    assert native_url("django") == ours["LOCATION"]
    assert native_url("secret") == "redis://h:1/2?password=a%2Fb%3F"
    assert native_url("replicated") == "redis://primary/1"
    CacheManager("acme", alias="herd").set("x", 1, 300)
    assert CacheManager("acme", alias="herd").get("x") == 1
    assert CacheManager("acme", alias="django").set("y", 2, 300)
    assert CacheManager("acme", alias="django").get("y") == 2
    store_of.cache_clear()
