from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from pleme_redis_django.redis_state.bus import close_bus
from pleme_redis_django.redis_state.connections import close_async_clients
from tests.twins import Twin


@pytest.fixture(params=["sync", "async"])
async def twin(request: pytest.FixtureRequest) -> AsyncIterator[Callable[[Any], Twin]]:
    """Wrap a manager, so that the test runs once on its sync methods and once on their async twins."""
    yield lambda target: Twin(target, is_async=request.param == "async")
    await close_bus()
    await close_async_clients()


@pytest.fixture
async def loop_clients() -> AsyncIterator[None]:
    """Close what an async test opened on its event loop."""
    yield
    await close_bus()
    await close_async_clients()
