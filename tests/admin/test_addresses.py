"""The addresses of the pages, on whichever admin site they are."""

from __future__ import annotations

import re
from typing import Any

from django.test import Client, override_settings

PAGES = ["", "queue/", "queue/acme/mails/", "worker/", "error/", "realtime/"]


def test_pages_work_on_an_admin_site_of_ones_own(client: Client, admin_user: Any) -> None:
    client.force_login(admin_user)
    with override_settings(ROOT_URLCONF="tests.admin.operations_site"):
        for page in PAGES:
            text = client.get(f"/ops/pleme_redis_django/dashboard/{page}").content.decode()
            assert "/ops/pleme_redis_django/dashboard/queue/" in text
            assert not re.search('(href|action)="/admin/', text)
