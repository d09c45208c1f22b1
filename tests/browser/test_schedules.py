"""The page of schedules in Chromium, in every state, light and dark, wide and narrow; the form of one."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from pleme_redis_django.models import Schedule, ScheduleTick
from tests.browser.admin_pages import admin_page, faults_of_job_page, overflow_of, take_picture
from tests.rows import make_job, make_worker
from tests.workload.jobs import add, noop

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.asyncio(loop_scope="session"),
]
PAGE = "/admin/pleme_redis_django/dashboard/schedule/"
LIST = "/admin/pleme_redis_django/schedule/"
PICTURES = {(1440, "light"): "dashboard-schedules"}
"""Those of the guide; the others are for whoever looks."""
LIFE = ["COMPLETED", "COMPLETED", "FAILED", "COMPLETED", None, "COMPLETED", "COMPLETED", "RUNNING"]


def make(name: str, **fields: Any) -> Schedule:
    values = {"product": "acme", "job_type": noop.name, "cron": "*/5 * * * *", "timezone": "Europe/Berlin"}
    values |= {"next_tick_at": timezone.now() + timedelta(minutes=3), **fields}
    return Schedule.objects.create(name=name, **values)


def ticks(schedule: Schedule, statuses: list[str | None]) -> None:
    for number, status in enumerate(statuses):
        ScheduleTick.objects.create(
            schedule=schedule,
            tick_at=timezone.now() - timedelta(minutes=5 * (len(statuses) - number)),
            outcome="overlap" if status is None else "enqueued",
            job_id=None if status is None else make_job(product="acme", status=status).id,
        )


def every_state() -> None:
    make_worker(job_types=[noop.name], declared_schedules=[])
    ticks(make("shop.jobs.refresh_rates", source="code"), LIFE * 2)
    ticks(make("nightly import", cron="0 3 * * MON-FRI"), ["COMPLETED", "COMPLETED", "FAILED"])
    make("new", cron="", interval_seconds=90)
    make(
        "statements",
        enabled=False,
        disabled_reason="The zone is 'Mars/Olympus'. Accepted: a name of the IANA database.",
    )
    make("mails", paused_at=timezone.now(), paused_by="ada", pause_reason="the provider is down")
    make("late", next_tick_at=timezone.now() - timedelta(hours=2))
    make("last year's", next_tick_at=None, ends_at=timezone.now())


@pytest.mark.parametrize("width", [1440, 700, 375])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_state_is_legible(
    chromium: Browser, live_server: Any, session_cookie: Any, width: int, scheme: Any
) -> None:
    await sync_to_async(every_state)()
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    async with admin_page(chromium, session_cookie, **options) as page:
        await page.goto(f"{live_server.url}{PAGE}")
        await take_picture(page, PICTURES.get((width, scheme), f"dashboard-schedules-{width}-{scheme}"))
        assert await page.locator(".pleme-schedules tbody tr").count() == 7
        assert await overflow_of(page) <= 0
        assert await faults_of_job_page(page) == []


async def test_none_and_pause_and_run_by_keyboard(
    chromium: Browser, live_server: Any, session_cookie: Any
) -> None:
    async with admin_page(chromium, session_cookie) as page:
        await page.goto(f"{live_server.url}{PAGE}")
        assert await page.get_by_text("No schedules.").is_visible()
        await take_picture(page, "dashboard-schedules-none")
        schedule = await sync_to_async(make)("nightly")
        await page.reload()
        await page.get_by_label("Pause nightly of acme").focus()
        await page.keyboard.press("Enter")
        await page.get_by_label("Why? Others will read it.").fill("the bank is closed")
        await page.keyboard.press("Enter")
        await page.get_by_text(": the bank is closed").wait_for()
        await page.get_by_label("Run nightly of acme now").click()
        await page.get_by_text("is enqueued").wait_for()
        await schedule.arefresh_from_db()
        assert schedule.pause_reason == "the bank is closed"
        assert schedule.last_job_id is not None


async def test_a_schedule_is_made_and_looked_at(
    chromium: Browser, live_server: Any, session_cookie: Any
) -> None:
    async with admin_page(chromium, session_cookie) as page:
        await page.goto(f"{live_server.url}{LIST}add/")
        await page.get_by_label("Name:", exact=True).fill("sums")
        await page.get_by_label("Job type:").select_option(add.name)
        await page.get_by_label("Parameters:").fill('{"left": 1}')
        await page.get_by_label("Cron:").fill("0 3 * * *")
        await page.get_by_role("button", name="Save", exact=True).click()
        await page.get_by_text("missing ['right']").wait_for()
        await take_picture(page, "schedule-refused")
        await page.get_by_label("Parameters:").fill('{"left": 1, "right": 2}')
        await page.get_by_role("button", name="Save and continue editing").click()
        await page.get_by_text("at 03:00 every day").first.wait_for()
        await take_picture(page, "schedule-form")
        assert await overflow_of(page) <= 0
