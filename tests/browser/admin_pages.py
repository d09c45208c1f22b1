"""Pages of the admin in Chromium: signed in, watched for what must not happen, and looked at."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

SCREENSHOTS = os.environ.get("PLEME_SCREENSHOTS")
"""A folder: pictures for the documentation are put there."""
TIMEOUT_MS = 20_000
LOOK_SECONDS = 0.02
# Nothing is loaded again: only a rule of moderate impact, about sound that plays by itself, looks at what was. And
# only the faults come here, not what axe-core found in order, which takes as long.
RUN_AXE = """
(context) => axe.run(context || document, {resultTypes: ["violations"], preload: false})
    .then((results) => results.violations)
"""
_complaints: WeakKeyDictionary[Page, list[str]] = WeakKeyDictionary()


def complaints_of(page: Page) -> list[str]:
    """Return a list that fills with what the policy blocks, what a script raises and what is missing."""
    complaints: list[str] = []

    def note_console(message: Any) -> None:
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            complaints.append(message.text)

    def note_response(response: Any) -> None:
        if response.status >= 400 and not response.url.endswith("/favicon.ico"):
            complaints.append(f"{response.status} {response.url}")

    page.on("console", note_console)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("response", note_response)
    return complaints


@asynccontextmanager
async def admin_page(
    browser: Browser, cookie: Any, *, blocks_sockets: bool = True, **options: Any
) -> AsyncIterator[Page]:
    """Yield a page of the administrator; it must not break the policy, raise, or ask for what is missing."""
    context = await browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
    context.set_default_timeout(TIMEOUT_MS)
    await context.add_cookies([cookie])
    page = await context.new_page()
    if blocks_sockets:
        await page.route_web_socket("**/*", lambda socket: socket.close())
    complaints = _complaints[page] = complaints_of(page)
    try:
        yield page
        assert complaints == [], complaints
        assert await page.title() != "run"
    finally:
        await context.close()


async def wait_for_truth(page: Page, expression: str) -> None:
    """Wait until JavaScript says so; playwright's own way is an eval(), which the policy forbids."""
    deadline = time.monotonic() + TIMEOUT_MS / 1000
    while not await page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        await asyncio.sleep(LOOK_SECONDS)


async def overflow_of(page: Page) -> int:
    """Return by how many pixels the page is wider than its window."""
    return int(await page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


async def faults_of(page: Page, context: Any = None) -> list[str]:
    """Return what axe-core calls serious or worse; ``context``: at what; None: at the whole page."""
    from axe_playwright_python.async_playwright import Axe

    await page.evaluate(Axe().axe_script)
    violations = await page.evaluate(RUN_AXE, context)
    return [
        f"{fault['id']}: {node['html']}"
        for fault in violations
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"][:3]
    ]


async def faults_of_job_page(page: Page) -> list[str]:
    """Return the faults in what is ours: not those of Django's own search and filters."""
    complaints = _complaints[page]
    before = len(complaints)
    ours = {"include": [["#content"]], "exclude": [["#toolbar"], ["#changelist-filter"]]}
    faults = await faults_of(page, ours)
    del complaints[before:]  # axe-core itself tries inline styles
    return faults


async def take_picture(page: Page, name: str) -> None:
    """Put a picture for the documentation where they are wanted."""
    if SCREENSHOTS:
        await page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png")
