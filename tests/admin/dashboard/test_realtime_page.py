"""The realtime page: what Redis holds of the products, and what it says without Redis."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client, override_settings

ROOT = "/admin/pleme_redis_django/dashboard/"


def test_realtime_page_says_that_redis_is_away(admin_client: Client, settings: Any) -> None:
    with override_settings(PLEME_REDIS=settings.PLEME_REDIS | {"URL": "redis://127.0.0.1:1/0"}):
        assert "Redis cannot be reached." in admin_client.get(ROOT + "realtime/").content.decode()


@pytest.mark.usefixtures("two_products")
def test_realtime_page_shows_presence_cache_and_locks(admin_client: Client) -> None:
    state = admin_client.get(ROOT + "realtime/", {"product": "acme"}).context["state"]
    [acme] = [row for row in state.products if row.product == "acme"]
    assert (acme.users_online, acme.connections) == (1, 1)
    assert [lock.name for lock in state.locks] == ["acme-lock"]
