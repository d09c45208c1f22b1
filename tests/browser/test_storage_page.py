"""The storage page in Chromium, in each of its states."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from pleme_redis_django import JobStatus
from pleme_redis_django.models import Job
from pleme_redis_django.monitoring import storage_warnings
from pleme_redis_django.monitoring.storage import storage_report
from tests.browser.admin_pages import admin_page, faults_of, overflow_of, take_picture
from tests.database_sessions import REPEATABLE, TABLE, a_slow_vacuum, another_session
from tests.orm_store.test_retention import ended
from tests.waiting import wait_for

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.asyncio(loop_scope="session"),
]

PAGE = "/admin/pleme_redis_django/dashboard/storage/"
HOSTILE = "SELECT '<script>document.title = ''run''</script>\u202egnp.exe'"
STATES = {
    "fresh": "All is well",
    "old-snapshot": "pg_terminate_backend",
    "backlog": "Retention lags",
    "vacuum": "scanning heap",
}


def arrange(state: str, stack: ExitStack) -> None:
    """Put the database into a state, until the stack ends."""
    if state == "old-snapshot":
        stack.enter_context(another_session(REPEATABLE, HOSTILE, application="nightly <report>"))
        Job.objects.bulk_create(Job() for _ in range(200))
        Job.objects.all().delete()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_force_next_flush()")
            cursor.execute(f"ANALYZE {TABLE}")
    elif state == "backlog":
        for _ in range(3):
            ended(JobStatus.COMPLETED, 8)
    elif state == "vacuum":
        stack.enter_context(a_slow_vacuum())
        wait_for(
            lambda: (table := storage_report().table) and table.vacuum and table.vacuum.done is not None,
            "a vacuum",
        )


@pytest.mark.parametrize("state", STATES)
async def test_each_state_fits_and_is_said(
    chromium: Browser, live_server: Any, session_cookie: Any, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    monkeypatch.setattr(storage_warnings, "OLD_SNAPSHOT_SECONDS", 0.0 if state == "old-snapshot" else 300.0)
    monkeypatch.setattr(storage_warnings, "MANY_DEAD_ROWS", 100 if state == "old-snapshot" else 10**9)
    monkeypatch.setattr(storage_warnings, "MANY_LATE_JOBS", 2)
    with ExitStack() as stack:
        await sync_to_async(arrange)(state, stack)
        for width, scheme in ((1440, "light"), (375, "dark")):
            viewport = {"width": width, "height": 900}
            async with admin_page(chromium, session_cookie, viewport=viewport, color_scheme=scheme) as page:
                await page.goto(live_server.url + PAGE)
                await page.get_by_text(STATES[state]).first.wait_for()
                assert await overflow_of(page) <= 0
                assert await faults_of(page) == []
                await take_picture(page, f"dashboard-storage-{state}-{width}")
        await sync_to_async(stack.close)()
