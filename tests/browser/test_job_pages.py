"""The job pages in Chromium: how they look, how a job's page stays live, how thousands are changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.admin.models import LogEntry

from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import Job
from tests.browser.admin_pages import (
    admin_page,
    faults_of_job_page,
    overflow_of,
    take_picture,
    wait_for_truth,
)
from tests.rows import ago, make_attempt, make_failed_job, make_job, make_jobs, make_worker
from tests.worker_processes import SHORT_LEASES, WorkerProcesses
from tests.workload.jobs import fail_first

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.asyncio(loop_scope="session"),
]

LIST = "/admin/pleme_redis_django/job/"
HOSTILE = "</pre><script>document.title = 'run'</script>\u202egnp.exe"
LONG = "a-very-long-name-" * 12


@pytest.fixture
def pages(db: None) -> dict[str, str]:
    """Addresses by name, of jobs in every state, some of them full of markup, length and big numbers."""
    worker = make_worker(host="web-1.internal")
    running = {
        "status": JobStatus.RUNNING,
        "worker_id": worker.pk,
        "claimed_at": ago(9),
        "started_at": ago(8),
    }
    failed = make_failed_job(
        job_type=HOSTILE,
        queue_name="q" * 64,
        product="acme",
        parameters={HOSTILE: HOSTILE, "n": 2**63 + 1, "long": LONG * 20},
        error_message=HOSTILE + LONG,
        claimed_at=ago(70),
        started_at=ago(69),
        run_after=ago(90),
    )
    make_attempt(failed, traceback=f"Traceback {HOSTILE}\n" * 400, message=HOSTILE, error_class=LONG)
    jobs = {
        "failed": failed,
        "queued": make_job(run_after=ago(75), queue_name="mails"),
        "pending": make_job(status=JobStatus.PENDING, run_after=ago(-3600), retry_count=1, attempt=1),
        "running": make_job(progress={"done": 1500, "total": 6000, "note": "rows"}, **running),
        "long": make_job(job_type=LONG[:200], progress={"note": LONG, "done": 1, "total": 2}, **running),
        "completed": make_job(status=JobStatus.COMPLETED, completed_at=ago(1), results={"a": [1, 2]}),
    }
    addresses = {name: f"{LIST}{job.pk}/change/" for name, job in jobs.items()}
    lists = {"list": "", "failures": "?status__exact=FAILED", "none": "?q=type:nothing", "wrong": "?q=quue:x"}
    return {name: f"{LIST}{query}" for name, query in lists.items()} | addresses


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 768, 1440])
async def test_pages_fit_keep_the_policy_and_have_no_serious_fault(
    chromium: Browser, live_server: Any, session_cookie: Any, pages: dict[str, str], scheme: Any, width: int
) -> None:
    viewport = {"width": width, "height": 900}
    async with admin_page(chromium, session_cookie, viewport=viewport, color_scheme=scheme) as page:
        for name, address in pages.items():
            await page.goto(live_server.url + address)
            assert await overflow_of(page) <= 0, name
            assert await faults_of_job_page(page) == [], name
            await take_picture(page, f"job-{name}-{width}-{scheme}")


@pytest.mark.parametrize("width", [375, 768, 1440])
async def test_a_form_fits_too(
    chromium: Browser, live_server: Any, session_cookie: Any, pages: dict[str, str], width: int
) -> None:
    async with admin_page(chromium, session_cookie, viewport={"width": width, "height": 900}) as page:
        for button in ("Reschedule…", "Change priority…", "Change queue…", "Cancel…", "Delete…"):
            await page.goto(live_server.url + pages["queued"])
            await page.get_by_role("button", name=button).click()
            await page.get_by_role("link", name="Back").wait_for()
            assert await overflow_of(page) <= 0, button
            assert await faults_of_job_page(page) == [], button
            await take_picture(page, f"job-form-{button[:-1].replace(' ', '-').lower()}-{width}")


# A page that stays live


@pytest.fixture
def workers(process_environment: dict[str, str], tmp_path: Path) -> Iterator[WorkerProcesses]:
    """A worker process for the queue of the test."""
    overrides = json.dumps({"POOLS": {"default": {**SHORT_LEASES, "worker_count": 1}}})
    environment = {**process_environment, "PLEME_REDIS_OVERRIDES": overrides}
    started = WorkerProcesses(("--processes", "1"), environment, tmp_path / "workers.log")
    yield started
    started.end()


async def mark(page: Page) -> None:
    """Leave a mark that a reload would wipe out."""
    await page.evaluate("window.isTheSamePage = true")


async def is_marked(page: Page) -> bool:
    return bool(await page.evaluate("window.isTheSamePage === true"))


@pytest.mark.process
async def test_a_job_fails_is_read_is_retried_and_completes_before_ones_eyes(
    chromium: Browser, live_server: Any, session_cookie: Any, workers: WorkerProcesses, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    job = await fail_first.aenqueue(total=30, gate=str(gate))
    async with admin_page(chromium, session_cookie) as page:
        await page.goto(f"{live_server.url}{LIST}{job.pk}/change/")
        await mark(page)
        await page.locator(".pleme-status", has_text="Failed").wait_for()
        await page.locator("pre", has_text="ProviderError: the provider is away").wait_for()
        assert await is_marked(page)

        await page.get_by_role("button", name="Retry").click()
        await page.get_by_text("Retried: 1.").wait_for()
        await mark(page)
        await page.locator(".pleme-status", has_text="Running").wait_for()
        await wait_for_truth(page, "document.querySelector('.pleme-progress')?.value > 20")
        await page.locator(".pleme-progress-text", has_text="of 30").wait_for()
        await take_picture(page, "job-live")
        gate.touch()
        await page.locator(".pleme-status", has_text="Completed").wait_for()
        await page.locator("pre", has_text='"delivered"').wait_for()
        assert await page.get_by_role("status").inner_text() == "The job is completed."
        assert await is_marked(page)


async def test_a_hidden_page_asks_for_nothing(
    chromium: Browser, live_server: Any, session_cookie: Any
) -> None:
    job = await sync_to_async(make_job)(status=JobStatus.RUNNING, progress={"done": 1, "total": 4})
    async with admin_page(chromium, session_cookie) as page:
        await page.clock.install()
        await page.goto(f"{live_server.url}{LIST}{job.pk}/change/")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.evaluate(
            "set_hidden = (value) => Object.defineProperty(document, 'hidden', {value, configurable: true})"
        )
        await page.evaluate("set_hidden(true); document.dispatchEvent(new Event('visibilitychange'))")
        await page.clock.run_for(60_000)
        assert asked == []
        async with page.expect_response("**/state/"):
            await page.evaluate("set_hidden(false); document.dispatchEvent(new Event('visibilitychange'))")
            await page.clock.run_for(100)


async def test_a_page_of_a_job_at_its_end_asks_for_nothing(
    chromium: Browser, live_server: Any, session_cookie: Any, pages: dict[str, str]
) -> None:
    async with admin_page(chromium, session_cookie) as page:
        await page.clock.install()
        await page.goto(live_server.url + pages["completed"])
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.clock.run_for(60_000)
        assert asked == []


async def test_a_lost_connection_is_said_and_overcome(
    chromium: Browser, live_server: Any, session_cookie: Any
) -> None:
    job = await sync_to_async(make_job)(status=JobStatus.RUNNING)
    async with admin_page(chromium, session_cookie) as page:
        await page.goto(f"{live_server.url}{LIST}{job.pk}/change/")
        await page.route("**/state/", lambda route: route.abort())
        await page.get_by_text("No connection. Trying again…").wait_for()
        await page.unroute("**/state/")
        await wait_for_truth(page, "document.querySelector('#pleme-live').textContent === ''")


# Thousands


@pytest.fixture
def many_failed(db: None) -> int:
    """5,000 failed jobs, and some others."""
    make_jobs(5000, product="acme", job_type="shop.mail", status=JobStatus.FAILED)
    for _ in range(3):
        make_job(product="acme", status=JobStatus.COMPLETED)
    return 5000


async def ask_to_retry_all(page: Page, origin: str) -> None:
    await page.goto(f"{origin}{LIST}?product=acme")
    await page.locator("#action-toggle").check()
    await page.locator(".question a").first.click()
    await page.locator("select[name=action]").select_option("retry_selected")
    await page.locator("button[name=index]").click()
    await page.get_by_role("heading", name="Retry 5,000 jobs?").wait_for()


async def test_5000_jobs_are_retried_with_preview_and_progress(
    chromium: Browser, live_server: Any, session_cookie: Any, many_failed: int
) -> None:
    async with admin_page(chromium, session_cookie) as page:
        await ask_to_retry_all(page, live_server.url)
        assert "3 completed" in await page.locator(".pleme-bulk").inner_text()
        assert await faults_of_job_page(page) == []
        await take_picture(page, "bulk-preview")
        seen: list[float] = []
        page.on("request", lambda request: seen.append(1) if "/bulk/" in request.url else None)
        await page.get_by_role("button", name="Retry 5,000 jobs").click()
        await wait_for_truth(page, "document.querySelector('#pleme-bulk-progress progress').value >= 1000")
        await take_picture(page, "bulk-progress")
        await page.get_by_text("Finished: 5,000 done.").wait_for()
        assert len(seen) >= 10, "in batches"
        await page.get_by_role("link", name="Back").click()
        await page.locator(".field-status_shown", has_text="Queued").first.wait_for()
        assert page.url.endswith("?product=acme")
    assert await Job.objects.filter(status=JobStatus.QUEUED).acount() == many_failed
    assert await LogEntry.objects.acount() == many_failed


async def test_a_run_is_stopped_and_goes_on(
    chromium: Browser, live_server: Any, session_cookie: Any, many_failed: int
) -> None:
    async with admin_page(chromium, session_cookie) as page:
        await ask_to_retry_all(page, live_server.url)
        await page.get_by_role("button", name="Retry 5,000 jobs").click()
        await page.get_by_role("button", name="Stop").click()
        await page.get_by_text("Stopped.").wait_for()
        done = await Job.objects.filter(status=JobStatus.QUEUED).acount()
        assert 0 < done < many_failed
        await page.get_by_role("button", name="Go on").click()
        await page.get_by_text("Finished: 5,000 done.").wait_for()
    assert await LogEntry.objects.acount() == many_failed


async def test_a_run_that_loses_its_connection_goes_on_where_it_was(
    chromium: Browser, live_server: Any, session_cookie: Any, many_failed: int
) -> None:
    async with admin_page(chromium, session_cookie) as page:
        await ask_to_retry_all(page, live_server.url)
        await page.route("**/bulk/**", lambda route: route.abort(), times=1)
        await page.get_by_role("button", name="Retry 5,000 jobs").click()
        await page.get_by_text("No connection. 0 of 5,000 done.").wait_for()
        await page.get_by_role("button", name="Go on").click()
        await page.get_by_text("Finished: 5,000 done.").wait_for()
    assert await LogEntry.objects.acount() == many_failed
