"""The browser that browser tests drive: it starts, runs scripts, and leaves the event loop to others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = pytest.mark.browser


@pytest.mark.asyncio(loop_scope="session")
async def test_chromium_runs_the_scripts_of_a_page(chromium: Browser) -> None:
    page = await chromium.new_page()
    await page.set_content("<h1>before</h1><script>document.querySelector('h1').innerText = 'after'</script>")
    assert await page.inner_text("h1") == "after"


@pytest.mark.django_db
def test_queries_still_work_after_a_browser_test() -> None:
    from django.contrib.auth.models import User

    assert not User.objects.exists()
