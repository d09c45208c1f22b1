"""Fixtures of the browser tests: who is signed in."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client


@pytest.fixture
def session_cookie(admin_client: Client, live_server: Any) -> dict[str, str]:
    """The cookie of a logged in administrator."""
    cookie = admin_client.cookies["sessionid"].value
    return {"name": "sessionid", "value": cookie, "url": str(live_server.url)}
