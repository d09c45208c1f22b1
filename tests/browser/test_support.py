"""The example's support chat and order page, in Chromium, by two people at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from example_project.shop.catalog import read_catalog, save_items
from example_project.shop.orders import place_order
from tests.browser.admin_pages import take_picture
from tests.processes import ending_with_this_process
from tests.realtime.web_servers import WebServer, web_server

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.browser,
    pytest.mark.process,
    pytest.mark.asyncio(loop_scope="session"),
]

REPOSITORY = Path(__file__).resolve().parents[2]
TIMEOUT_MS = 15_000
WIDE = {"width": 1100, "height": 640}
PHONE = {"width": 375, "height": 720}


@pytest.fixture
def shop(process_environment: dict[str, str], settings: Any) -> Iterator[WebServer]:
    """The example project's web server, with an order and the two people of the demo."""
    # The suite's quick hashes are unknown to the example project's settings.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "PRODUCT": "novaskyn"}
    save_items(read_catalog(first=20))
    codes = [item.code for item in read_catalog(first=2)]
    place_order("N001-00001", codes, "Bessie Coleman", "bessie@customers.example")
    for name in ("ada", "ben"):
        User.objects.create_user(name, password=name)
    with web_server(
        "uvicorn",
        process_environment,
        application="example_project.asgi:application",
        settings_module="example_project.settings",
    ) as server:
        yield server


@contextmanager
def workers(environment: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(
        ending_with_this_process(
            [sys.executable, str(REPOSITORY / "manage.py"), "runworkers", "--processes", "1"]
        ),
        env={**environment, "DJANGO_SETTINGS_MODULE": "example_project.settings"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@asynccontextmanager
async def signed_in(browser: Browser, server: WebServer, name: str, **options: Any) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport=options.pop("viewport", WIDE), **options)
    context.set_default_timeout(TIMEOUT_MS)
    page = await context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    await page.goto(f"{server.origin}/support/")
    await page.fill("[name=username]", name)
    await page.fill("[name=password]", name)
    await page.click("button")
    await page.wait_for_selector("#state[data-state=online]")
    try:
        yield page
        assert problems == []
    finally:
        await context.close()


async def test_two_people_chat(chromium: Browser, shop: WebServer) -> None:
    async with (
        signed_in(chromium, shop, "ada") as ada,
        signed_in(chromium, shop, "ben", color_scheme="dark") as ben,
    ):
        await ada.wait_for_function("document.querySelectorAll('#people li').length === 2")
        await ada.fill("#text", "The label printer is off again. Can you look?")
        await ada.keyboard.press("Enter")
        await ben.wait_for_selector("#log li >> text=label printer")
        await ben.locator("#text").press_sequentially("<b>On my way</b>")
        await ada.wait_for_selector("#typing >> text=ben is typing")
        await take_picture(ada, "support-chat")
        await ben.keyboard.press("Enter")
        await ada.wait_for_selector("#log li >> text=<b>On my way</b>")
        await ada.wait_for_function("document.querySelector('#typing').textContent === ''")
        await sync_to_async(place_order)("N001-00002", ["00AK"], "Ada Earhart", "a@customers.example")
        await ben.wait_for_selector("#orders >> text=N001-00002")
        await take_picture(ben, "support-chat-dark")
        await ben.click("button.quiet")
        await ben.wait_for_selector("[name=password]")
        await ada.wait_for_function("document.querySelectorAll('#people li').length === 1")
        assert await ada.locator("#log li").count() == 2


async def test_chat_fits_a_phone_and_the_keyboard_reaches_it(chromium: Browser, shop: WebServer) -> None:
    async with signed_in(chromium, shop, "ada", viewport=PHONE) as page:
        assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        await page.focus("#scroll")
        await page.keyboard.press("Tab")
        await page.keyboard.type("from a phone")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#log li >> text=from a phone")
        await take_picture(page, "support-phone")


async def test_order_page_follows_its_job(
    chromium: Browser, shop: WebServer, process_environment: dict[str, str]
) -> None:
    with workers(process_environment):
        async with signed_in(chromium, shop, "ada") as ada, signed_in(chromium, shop, "ben") as ben:
            for page in (ada, ben):
                await page.goto(f"{shop.origin}/support/orders/N001-00001/")
            await ada.wait_for_function("document.querySelectorAll('#people li').length === 2")
            await ada.click("#prepare button")
            for page in (ada, ben):
                await page.wait_for_function("/ of 8/.test(document.querySelector('#step').textContent)")
            await take_picture(ada, "support-order")
            for page in (ada, ben):
                await page.wait_for_selector("#step >> text=ready to ship")
                assert await page.evaluate("bar.value === bar.max")


async def test_stranger_sees_the_sign_in_page(chromium: Browser, shop: WebServer) -> None:
    page = await chromium.new_page()
    await page.goto(f"{shop.origin}/support/orders/N001-00001/")
    assert "/support/login/" in page.url
