"""What the tests of Redis state share: twins, servers that may be damaged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
import redis

from pleme_redis_django.conf import get_settings
from pleme_redis_django.redis_state.pubsub.bus import close_bus
from pleme_redis_django.redis_state.server.connections import close_async_clients, close_sync_clients
from pleme_redis_django.testing.servers import RedisServer
from tests.redis_state.lossy_proxy import LossyProxy
from tests.twins import Twin

CallTwin = Callable[..., Awaitable[Any]]


@pytest.fixture(params=["sync", "async"])
async def twin(request: pytest.FixtureRequest) -> AsyncIterator[Callable[[Any], Twin]]:
    """Wrap a manager, so that the test runs once on its sync methods and once on their async twins."""
    yield lambda target: Twin(target, is_async=request.param == "async")
    await close_bus()
    await close_async_clients()


@pytest.fixture(params=["sync", "async"])
async def call_twin(request: pytest.FixtureRequest) -> AsyncIterator[CallTwin]:
    """``await call_twin(locks.lock, ...)`` calls the method in a thread, so that it may block, or ``alock``."""

    async def call(method: Any, *args: Any, **kwargs: Any) -> Any:
        if request.param == "sync":
            return await asyncio.to_thread(method, *args, **kwargs)
        return await getattr(method.__self__, f"a{method.__name__}")(*args, **kwargs)

    yield call
    await close_async_clients()


@pytest.fixture
async def loop_clients() -> AsyncIterator[None]:
    """Close what an async test opened on its event loop."""
    yield
    await close_bus()
    await close_async_clients()


def blocked_clients(client: redis.Redis) -> int:
    """Return how many connections to the server wait in a blocking command."""
    return int(client.info("clients")["blocked_clients"])


@pytest.fixture
def raw_redis() -> Iterator[redis.Redis]:
    """A client beside the package's own, on the suite's first database."""
    with redis.Redis.from_url(str(get_settings().url)) as client:
        yield client


@pytest.fixture
def own_redis(settings: Any) -> Iterator[RedisServer]:
    """A server that the test may damage; the settings point at it."""
    with RedisServer() as server:
        settings.PLEME_REDIS = {**settings.PLEME_REDIS, "URL": server.url()}
        yield server
        close_sync_clients()


@pytest.fixture
def lossy_redis(settings: Any) -> Iterator[LossyProxy]:
    """A proxy in front of the suite's Redis, which can lose replies; the settings point at it."""
    with LossyProxy(settings.PLEME_REDIS["URL"]) as proxy:
        settings.PLEME_REDIS = {**settings.PLEME_REDIS, "URL": proxy.url}
        yield proxy
        close_sync_clients()
