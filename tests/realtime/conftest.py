from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from pleme_redis_django.testing.realtime import close_realtime

OPEN = dict.fromkeys(("subscribe", "publish", "presence", "typing"), "authenticated")


def product_of(scope: dict[str, Any]) -> str | None:
    """The resolver of these tests: who opens the socket says for which product."""
    product: str | None = scope.get("tenant", "acme")
    return product


@pytest.fixture
def configure(settings: Any) -> Callable[..., None]:
    """Change keys of PLEME_REDIS for this test."""

    def change(**values: Any) -> None:
        settings.PLEME_REDIS = {**settings.PLEME_REDIS, **values}

    return change


@pytest.fixture(autouse=True)
def _realtime_settings(configure: Callable[..., None]) -> None:
    configure(
        PRODUCT_RESOLVER="tests.realtime.conftest.product_of",
        CHANNELS={"order:*": OPEN, "room:*": OPEN, "conv:*": OPEN, "@online": {"presence": "authenticated"}},
    )


@pytest.fixture(autouse=True)
async def _close_realtime(_realtime_settings: None) -> AsyncIterator[None]:
    yield
    await close_realtime()


class Person:
    """A user without a row: what consumers need to know of one."""

    is_authenticated = True
    is_active = True
    is_staff = False

    def __init__(self, pk: Any) -> None:
        self.pk = pk


@pytest.fixture
def ana() -> Person:
    return Person(1)


@pytest.fixture
def ben() -> Person:
    return Person(2)
