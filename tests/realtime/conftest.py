from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.test import Client

from pleme_redis_django.realtime import dashboard_feed as feed_module
from pleme_redis_django.testing.realtime import CommandFailed, close_realtime
from tests.realtime.viewers import LogIn

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


@pytest.fixture
def log_in(configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> LogIn:
    """Return a function that logs in who looks at the dashboard, which is sent at once in these tests."""
    monkeypatch.setattr(feed_module, "INTERVAL_SECONDS", 0.05)
    configure(DASHBOARD_PRODUCTS="tests.realtime.viewers.products_of")

    @sync_to_async
    def log_in(
        name: str = "all", *, may_view: bool = True, is_staff: bool = True, products: tuple[str, ...] = ()
    ) -> tuple[Any, Client]:
        user: Any = get_user_model().objects.create_user(name, is_staff=is_staff)
        if may_view:
            user.user_permissions.add(
                Permission.objects.get(
                    codename="view_job",
                    content_type__app_label="pleme_redis_django",
                    content_type__model="job",
                )
            )
        user.groups.set([Group.objects.get_or_create(name=product)[0] for product in products])
        client = Client()
        client.force_login(user)
        return get_user_model().objects.get(pk=user.pk), client

    return log_in


async def refused(command: Any) -> CommandFailed:
    with pytest.raises(CommandFailed) as error:
        await command
    return error.value
