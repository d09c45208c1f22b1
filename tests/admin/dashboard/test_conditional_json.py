"""Data that the browser has is not sent again."""

from __future__ import annotations

import pytest
from django.test import Client

ROOT = "/admin/pleme_redis_django/dashboard/"
DATA = ["data.json", "series.json"]


@pytest.mark.parametrize("page", DATA)
def test_known_data_is_not_sent_again(page: str, admin_client: Client) -> None:
    first = admin_client.get(ROOT + page)
    assert "private" in first.headers["Cache-Control"]
    again = admin_client.get(ROOT + page, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
