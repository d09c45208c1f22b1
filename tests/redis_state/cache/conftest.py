from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.core.cache import caches

from pleme_redis_django.redis_state.cache.stores import native_url, store_of
from tests import settings as test_settings


@pytest.fixture(params=["redis", "locmem"])
def alias(request: pytest.FixtureRequest, settings: Any) -> Iterator[str]:
    """A Redis alias and a LocMem one: what a project runs and what its tests may."""
    settings.CACHES = {
        **settings.CACHES,
        "locmem": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "cache tests"},
    }
    caches["locmem"].clear()
    yield "default" if request.param == "redis" else "locmem"
    store_of.cache_clear()


@pytest.fixture
def cache_redis() -> Iterator[redis.Redis]:
    """A client on the database of the cache."""
    with redis.Redis.from_url(str(native_url("default"))) as client:
        assert client.connection_pool.connection_kwargs["db"] == test_settings.CACHE_REDIS_DATABASE
        yield client
