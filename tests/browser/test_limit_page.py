"""The page of limits in Chromium: it fits, it is accessible, and its forms open and change a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import sync_to_async

from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import FlowGate, FlowLimit
from pleme_redis_django.operations import set_limit
from tests.browser.admin_pages import admin_page, faults_of, overflow_of, take_picture
from tests.rows import ago, make_job

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.asyncio(loop_scope="session"),
]

PAGE = "/admin/pleme_redis_django/dashboard/limit/"
HOSTILE = "<script>document.title = 'run'</script>\u202egnp"


def arrange() -> str:
    """Store limits that are free, full, paused and of a rate, and a line; return the page of a job that waits."""

    def limit(**fields: Any) -> FlowLimit:
        return FlowLimit.objects.create(job_model="pleme_redis_django.job", source="code", **fields)

    limit(kind="key", name="customer", max_running=2)
    limit(kind="type", name="shop.jobs.print_label", max_running=1)
    printing = {"job_type": "shop.jobs.print_label", "claimed_at": ago(7_500)}
    make_job(status=JobStatus.RUNNING, product="novaskyn", **printing)
    long_name = f"shop.fulfilment.{'warehouse_' * 12}jobs.print_label"
    limit(kind="type", name=long_name, max_running=5)
    for _ in range(4):
        make_job(status=JobStatus.RUNNING, product="novaskyn", job_type=long_name, claimed_at=ago(7_500))
    supplier = limit(kind="key", name="supplier", rate=5, per_seconds=1, burst=5)
    limit(kind="queue", name=HOSTILE, max_running=10)
    set_limit("product", "lilith", max_running=0, changed_by="ada", reason="They flood us")
    for number, (running, waiting) in enumerate([(2, 14), (2, 3), (1, 0)]):
        key = f"customer:{1041 + number}"
        for _ in range(running):
            make_job(status=JobStatus.RUNNING, product="novaskyn", concurrency_key=key, claimed_at=ago(40))
        for _ in range(waiting):
            make_job(
                status=JobStatus.BLOCKED,
                product="novaskyn",
                concurrency_key=key,
                blocked_on=f"k:novaskyn:{key}",
                updated_at=ago(95),
            )
    FlowGate.objects.create(limit=supplier, gate="k:novaskyn:supplier", full_again_at=ago(-0.5))
    line = {"product": "novaskyn", "order_key": "order:7"}
    make_job(
        status=JobStatus.PENDING, attempt=1, retry_count=1, job_type="shop.pack", run_after=ago(-60), **line
    )
    for _ in range(3):
        job = make_job(status=JobStatus.BLOCKED, blocked_on="o:novaskyn:order:7", run_after=ago(30), **line)
    return f"/admin/pleme_redis_django/job/{job.pk}/change/"


async def test_the_page_fits_and_a_number_is_changed(
    chromium: Browser, live_server: Any, session_cookie: Any
) -> None:
    job_page = await sync_to_async(arrange)()
    for width, scheme in ((1440, "light"), (375, "dark")):
        viewport = {"width": width, "height": 900}
        async with admin_page(chromium, session_cookie, viewport=viewport, color_scheme=scheme) as page:
            await page.goto(live_server.url + PAGE)
            await page.get_by_text("6 limits").wait_for()
            assert await overflow_of(page) <= 0
            assert await faults_of(page) == []
            await take_picture(page, f"dashboard-limits-{width}")
            await page.goto(live_server.url + job_page)
            await page.get_by_text("It waits for its turn in the order order:7").wait_for()
            assert await overflow_of(page) <= 0
            await take_picture(page, f"job-in-line-{width}")
    async with admin_page(chromium, session_cookie) as page:
        await page.goto(live_server.url + PAGE)
        await page.get_by_label("Change the limit customer").click()
        form = page.locator("form.pleme-form", has=page.get_by_role("button", name="Change it")).locator(
            "visible=true"
        )
        await form.get_by_label("Jobs that run at once").fill("9")
        await form.get_by_label("Why? Others will read it.").fill("They asked for it")
        await take_picture(page, "dashboard-limits-form")
        await form.get_by_role("button", name="Change it").click()
        await page.get_by_text("They asked for it").first.wait_for()
    limit = await FlowLimit.objects.aget(name="customer")
    assert (limit.max_running, limit.edit_reason) == (9, "They asked for it")


async def test_a_limit_of_all_products_together_is_added(
    chromium: Browser, live_server: Any, session_cookie: Any
) -> None:
    for width, scheme in ((375, "dark"), (1440, "light")):
        viewport = {"width": width, "height": 900}
        async with admin_page(chromium, session_cookie, viewport=viewport, color_scheme=scheme) as page:
            await page.goto(live_server.url + PAGE)
            await page.get_by_text("Add a limit…").click()
            form = page.locator("form.pleme-form", has=page.get_by_role("button", name="Add it"))
            await form.get_by_label("named").fill(f"bank{width}")
            await form.get_by_label("All products together share this one limit").check()
            await form.get_by_label("Jobs that run at once").fill("2")
            await form.get_by_label("Why? Others will read it.").fill("One account")
            assert await overflow_of(page) <= 0
            assert await faults_of(page) == []
            await take_picture(page, f"limit-shared-form-{width}")
            await page.get_by_role("button", name="Add it").click()
            await page.get_by_text("key, all products together").first.wait_for()
    limit = await FlowLimit.objects.aget(name="bank1440")
    assert (limit.is_shared, limit.max_running, limit.edit_reason) == (True, 2, "One account")
