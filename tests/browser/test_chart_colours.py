"""The colours of the charts' lines in Chromium: each can be told from the others and from what it is drawn on."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest

from pleme_redis_django.jobs.interface.job import JobStatus
from tests.browser.admin_pages import admin_page, take_picture
from tests.metrics.measuring import measure_now
from tests.rows import make_job

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.asyncio(loop_scope="session"),
]

ROOT = "/admin/pleme_redis_django/dashboard/"
# What graphics need at least: WCAG 2.1, success criterion 1.4.11.
CONTRAST = 3.0
# Of 441, the distance from black to white.
DISTANCE = 48.0
# By a canvas, which is what draws them: the browser names some colours by lightness and hue.
COLOURS = """
() => {
    const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const rgb = (color) => {
        context.fillStyle = color;
        context.fillRect(0, 0, 1, 1);
        return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const charts = [...document.querySelectorAll("[data-chart]")].map((chart) => [
        chart.dataset.chart,
        Object.fromEntries([...chart.querySelectorAll("[data-line]")].map((swatch) => [
            swatch.dataset.line, rgb(getComputedStyle(swatch).color),
        ])),
    ]);
    return { paper: rgb(getComputedStyle(document.body).backgroundColor), charts: Object.fromEntries(charts) };
}
"""


def luminance(rgb: list[int]) -> float:
    """Return the relative luminance as WCAG defines it."""
    parts = [part / 255 for part in rgb]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: list[int], other: list[int]) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def distance(one: list[int], other: list[int]) -> float:
    return float(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_blocked_has_a_line_and_a_legend_entry_in_a_colour_of_its_own(
    chromium: Browser, live_server: Any, session_cookie: Any, jobs_of_each_depth: None, scheme: Any
) -> None:
    async with admin_page(chromium, session_cookie, color_scheme=scheme) as page:
        await page.goto(live_server.url + ROOT)
        chart = page.locator("[data-chart=depth]")
        await chart.locator("canvas").wait_for()
        entry = chart.locator(".pleme-legend li", has_text="blocked")
        assert await entry.locator("b").inner_text() == "7"
        await chart.scroll_into_view_if_needed()
        await take_picture(page, f"chart-colours-{scheme}")
        found = await page.evaluate(COLOURS)
    assert found["charts"]["depth"].keys() == {"ready", "running", "blocked"}
    drawn = [color for lines in found["charts"].values() for color in lines.values()]
    assert min(contrast(color, found["paper"]) for color in drawn) >= CONTRAST
    for pair in combinations(found["charts"]["depth"].values(), 2):
        assert distance(*pair) >= DISTANCE
    blocked, retried = found["charts"]["depth"]["blocked"], found["charts"]["throughput"]["retried"]
    assert distance(blocked, retried) >= DISTANCE


@pytest.fixture
def jobs_of_each_depth(db: None) -> None:
    for status, count in ((JobStatus.QUEUED, 12), (JobStatus.RUNNING, 3), (JobStatus.BLOCKED, 7)):
        for _ in range(count):
            make_job(status=status)
    measure_now()
