"""What the browser tests ask of every page: that it is told where a page is hard to read or to use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.admin_pages import faults_of

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

FAULTY = """
<!doctype html><html lang="en"><title>Faulty</title><main>
<h1 style="color: #bbb; background: #fff">Too pale</h1>
<img src="data:,"><input name="nameless"><button></button><a href="/nowhere"></a>
<ul><p>No item of a list</p></ul><div role="button" aria-pressed="perhaps">Perhaps</div>
<section id="apart"><select><option>Nameless too</option></select></section>
</main></html>
"""


async def test_faults_are_those_that_axe_finds_with_all_that_it_can_look_at(chromium: Browser) -> None:
    from axe_playwright_python.async_playwright import Axe

    page = await chromium.new_page()
    await page.set_content(FAULTY)
    faults = await faults_of(page)
    assert {fault.partition(":")[0] for fault in faults} == {
        fault["id"]
        for fault in (await Axe().run(page)).response["violations"]
        if fault["impact"] in ("serious", "critical")
    }
    assert {"color-contrast", "image-alt", "label", "button-name", "link-name", "list", "select-name"} <= {
        fault.partition(":")[0] for fault in faults
    }


async def test_faults_elsewhere_than_asked_are_not_told(chromium: Browser) -> None:
    page = await chromium.new_page()
    await page.set_content(FAULTY)
    faults = await faults_of(page, {"include": [["#apart"]]})
    assert [fault.partition(":")[0] for fault in faults] == ["select-name"]
