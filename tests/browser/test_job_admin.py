"""The job pages in a real browser, under the strictest policy: nothing inline, nothing from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import sync_to_async
from django.urls import reverse

from tests.browser.admin_pages import admin_page, complaints_of, faults_of_job_page, overflow_of, take_picture
from tests.rows import ago, make_attempt, make_failed_job, make_job, make_worker
from tests.strict_policy import POLICY

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.asyncio(loop_scope="session"),
]

HOSTILE = "</pre><script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">"


@pytest.fixture
def failed_job() -> Any:
    """A failed job full of markup."""
    job = make_failed_job(job_type=HOSTILE, error_message=HOSTILE, parameters={HOSTILE: HOSTILE})
    make_attempt(job, traceback=HOSTILE, message=HOSTILE)
    return job


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1440])
async def test_a_failed_job_is_found_read_and_retried(
    chromium: Browser, live_server: Any, failed_job: Any, session_cookie: Any, scheme: Any, width: int
) -> None:
    context = await chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    await context.add_cookies([session_cookie])
    page = await context.new_page()
    complaints = complaints_of(page)

    listed = await page.goto(live_server.url + reverse("admin:pleme_redis_django_job_changelist"))
    assert listed is not None
    assert (await listed.all_headers())["content-security-policy"] == POLICY
    await page.get_by_role("link", name="</pre>").click()
    await page.get_by_role("button", name="Retry").wait_for()
    assert await page.title() != "run"
    assert await page.locator("pre", has_text="</pre><script>").count() == 4
    assert await overflow_of(page) <= 0, "the page scrolls sideways"

    await page.get_by_role("button", name="Retry").click()
    await page.get_by_text("Retried: 1.").wait_for()
    assert await page.title() != "run"
    assert await page.locator(".pleme-badge").first.inner_text() == "☰ Queued"
    assert complaints == []
    await context.close()


@pytest.mark.parametrize("status", ["", "?status__exact=FAILED", "?status__exact=RUNNING"])
@pytest.mark.parametrize("width", [375, 1440])
async def test_no_column_of_a_job_list_is_cut(
    chromium: Browser, live_server: Any, session_cookie: Any, status: str, width: int
) -> None:
    worker = await sync_to_async(make_worker)()
    long = {
        "product": "international-shop",
        "queue_name": "payments-with-a-longer-name",
        "job_type": "example_project.shop.jobs.payments.capture_payment",
    }
    await sync_to_async(make_failed_job)(
        **long, error_message="The payment provider answered 503 after 30 seconds, and again at the third try"
    )
    running = {
        "status": "RUNNING",
        "worker_id": worker.pk,
        "claimed_at": ago(9_000),
        "started_at": ago(9_000),
    }
    await sync_to_async(make_job)(**long, **running)
    async with admin_page(chromium, session_cookie, viewport={"width": width, "height": 900}) as page:
        await page.goto(f"{live_server.url}/admin/pleme_redis_django/job/{status}")
        table = await page.evaluate(
            "(({scrollWidth, clientWidth}) => [scrollWidth, clientWidth])(document.querySelector('.results'))"
        )
        assert table[0] <= table[1], table
        assert await overflow_of(page) <= 0
        assert await faults_of_job_page(page) == []
        await take_picture(page, f"jobs-{status[-7:]}-{width}")
