"""The dashboard beside real worker processes: a websocket brings what they do, or the page asks for it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from example_project.shop.jobs import count_by_country, print_label
from tests.browser.test_support import workers
from tests.realtime.web_servers import WebServer, web_server

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.browser,
    pytest.mark.process,
    pytest.mark.asyncio(loop_scope="session"),
]

DASHBOARD = "/admin/pleme_redis_django/dashboard/"
TIMEOUT_MS = 40_000


@pytest.fixture
def site(process_environment: dict[str, str], settings: Any) -> Iterator[WebServer]:
    """The example project's web server and one worker process."""
    # The suite's quick hashes are unknown to the example project's settings.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "PRODUCT": "novaskyn"}
    User.objects.create_superuser("admin", password="admin")
    with (
        web_server(
            "uvicorn",
            process_environment,
            application="example_project.asgi:application",
            settings_module="example_project.settings",
        ) as server,
        workers(process_environment),
    ):
        yield server


@asynccontextmanager
async def dashboard(browser: Browser, site: WebServer, *, blocks_sockets: bool) -> AsyncIterator[Page]:
    """Yield the overview as the administrator sees it; no script may fail."""
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(TIMEOUT_MS)
    page = await context.new_page()
    if blocks_sockets:
        await page.route_web_socket("**/*", lambda socket: socket.close())
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    await page.goto(f"{site.origin}/admin/login/?next={DASHBOARD}")
    await page.fill("[name=username]", "admin")
    await page.fill("[name=password]", "admin")
    await page.click("[type=submit]")
    try:
        yield page
        assert problems == []
    finally:
        await context.close()


@pytest.mark.parametrize(("blocks_sockets", "says"), [(False, "Live"), (True, "Every 5 s")])
async def test_jobs_are_watched_without_a_reload(
    chromium: Browser, site: WebServer, blocks_sockets: bool, says: str
) -> None:
    async with dashboard(chromium, site, blocks_sockets=blocks_sockets) as page:
        await page.locator("#pleme-live").get_by_text(says, exact=True).wait_for()
        await page.evaluate("window.isTheSamePage = true")
        await sync_to_async(count_by_country.enqueue)("PT")
        await sync_to_async(print_label.using(max_retries=0).enqueue)("N1")
        await page.locator("[data-card=failed_last_hour]", has_text=re.compile("^1$")).wait_for()
        await page.locator("[data-rows=failures]", has_text="print_label").wait_for()
        await page.locator("[data-health][data-level=ok]").wait_for()
        assert await page.locator("tr[data-key='novaskyn/labels']").count() == 1
        assert await page.evaluate("window.isTheSamePage")
