"""The dashboard in Chromium, under the strictest policy: how it looks, what it does, how it stays live."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from asgiref.sync import sync_to_async

from pleme_redis_django import JobStatus
from pleme_redis_django.models import Job, QueueSample
from pleme_redis_django.operations import pause_queue, paused_queues
from pleme_redis_django.redis_state.locks import LockManager
from tests.browser.admin_pages import admin_page, faults_of, overflow_of, take_picture, wait_for_truth
from tests.metrics.measuring import measure_now
from tests.rows import ago, make_failed_job, make_job, make_worker
from tests.strict_policy import POLICY
from tests.waiting import await_until

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.asyncio(loop_scope="session"),
]

ROOT = "/admin/pleme_redis_django/dashboard/"
PAGES = ["", "queue/", "queue/acme/mails/", "worker/", "error/", "realtime/?product=acme"]
HOSTILE = "<script>document.title = 'run'</script>\u202egnp.exe"


@pytest.fixture
def busy(db: None) -> None:
    """Queues, workers, failures, a pause and a lock, some of them full of markup."""
    worker = make_worker(host="web-1.internal", release="2f9c41a", running=2)
    make_worker(host="web-2.internal", pid=17, died_at=ago(40), lease_until=ago(30), heartbeat_at=ago(40))
    for number in range(12):
        make_job(product="acme", queue_name="mails", run_after=ago(40 * number))
    for job_type in ("shop.jobs.send_receipt", HOSTILE):
        running = {"status": "RUNNING", "worker_id": worker.pk, "claimed_at": ago(9), "started_at": ago(9)}
        make_job(product="acme", queue_name="mails", job_type=job_type, **running)
        for _ in range(3):
            make_failed_job(
                product="acme",
                job_type=job_type,
                error_message=HOSTILE,
                error_fingerprint=f"{len(job_type):032x}",
            )
    make_job(
        product="globex", queue_name="a-rather-long-name-of-a-queue-that-somebody-chose", run_after=ago(2)
    )
    pause_queue("reports", product="globex", reason=HOSTILE, paused_by="ana")
    make_job(product="globex", queue_name="reports")
    LockManager("acme").try_lock("stock:" + "0123456789" * 6, 300)
    measure_now()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 768, 1440])
@pytest.mark.usefixtures("busy")
async def test_pages_fit_keep_the_policy_and_have_no_serious_fault(
    chromium: Browser, live_server: Any, session_cookie: Any, scheme: Any, width: int
) -> None:
    viewport = {"width": width, "height": 900}
    async with admin_page(chromium, session_cookie, viewport=viewport, color_scheme=scheme) as page:
        for address in PAGES:
            answer = await page.goto(live_server.url + ROOT + address)
            assert answer is not None
            assert (await answer.all_headers())["content-security-policy"] == POLICY
            assert await overflow_of(page) <= 0, address
            assert await faults_of(page) == [], address
            name = address.partition("?")[0].replace("/", "-").strip("-") or "overview"
            await take_picture(page, f"dashboard-{name}-{width}-{scheme}")


@pytest.mark.usefixtures("busy")
async def test_queue_is_paused_and_resumed(chromium: Browser, live_server: Any, session_cookie: Any) -> None:
    async with admin_page(chromium, session_cookie) as page:
        await page.goto(live_server.url + ROOT)
        await page.locator("tr", has_text="mails").get_by_role("link", name="mails").click()
        await page.get_by_label("Reason, shown to others").fill("The provider is down")
        await page.get_by_role("button", name="Pause queue", exact=True).click()
        await page.get_by_text("by admin").wait_for()
        assert "The provider is down" in await page.get_by_label("Pause", exact=True).inner_text()
        await page.goto(live_server.url + ROOT + "queue/")
        await page.locator("tr", has_text="mails").get_by_text("Paused").wait_for()
        await page.locator("tr", has_text="mails").get_by_role("link", name="mails").click()
        await page.get_by_role("button", name="Resume", exact=True).click()
        await page.get_by_text("is resumed").wait_for()
    pauses = await sync_to_async(paused_queues)(product="acme")
    assert pauses == []


@pytest.mark.usefixtures("busy")
async def test_group_of_failures_is_retried(chromium: Browser, live_server: Any, session_cookie: Any) -> None:
    async with admin_page(chromium, session_cookie) as page:
        await page.goto(live_server.url + ROOT + "error/")
        row = page.locator("tbody tr", has_text="send_receipt")
        await row.get_by_role("button").click()
        await page.get_by_role("button", name="Retry 3 jobs").click()
        await page.get_by_text("3 jobs are ready to run again").wait_for()
        assert await row.count() == 0
    failed = await sync_to_async(Job.objects.filter(status=JobStatus.FAILED).count)()
    assert failed == 3


@pytest.mark.usefixtures("busy")
async def test_lock_is_taken_away_by_keyboard(
    chromium: Browser, live_server: Any, session_cookie: Any
) -> None:
    async with admin_page(chromium, session_cookie, viewport={"width": 375, "height": 900}) as page:
        await page.goto(live_server.url + ROOT + "realtime/?product=acme")
        await page.locator("summary", has_text="Release").focus()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        await page.keyboard.type("its host is gone")
        await page.keyboard.press("Enter")
        await page.get_by_text("No lock of this product is held.").wait_for()


async def test_figures_change_without_a_reload_where_sockets_are_blocked(
    chromium: Browser, live_server: Any, session_cookie: Any
) -> None:
    measure = sync_to_async(measure_now)
    await sync_to_async(make_job)(product="acme", queue_name="mails")
    await measure()
    async with admin_page(chromium, session_cookie) as page:
        await page.goto(live_server.url + ROOT)
        await page.get_by_text("Every 5 s").wait_for()
        await page.evaluate("window.isTheSamePage = true")
        await sync_to_async(make_job)(product="acme", queue_name="mails")
        await sync_to_async(make_job)(product="acme", queue_name="invoices")
        await measure()
        await page.locator("[data-card=ready]", has_text=re.compile("^3$")).wait_for()
        cells = page.locator("tr[data-key='acme/invoices']")
        assert (
            await cells.get_by_role("link", name="invoices").get_attribute("href")
            == ROOT + "queue/acme/invoices/"
        )
        assert await page.evaluate("window.isTheSamePage")


@pytest.mark.long
async def test_an_open_page_tells_that_the_last_worker_is_gone(
    chromium: Browser, live_server: Any, session_cookie: Any
) -> None:
    worker = await sync_to_async(make_worker)()
    await sync_to_async(measure_now)()
    async with admin_page(chromium, session_cookie) as page:
        await page.goto(live_server.url + ROOT)
        await page.get_by_text("All is well: nothing waits, 1 worker process is alive.").wait_for()
        await page.get_by_text("Every 5 s").wait_for()
        await sync_to_async(worker.delete)()
        await sync_to_async(make_job)()
        await page.locator("[data-health][data-level=critical]").wait_for()
        assert "no worker process is running" in await page.locator("[data-health-sentence]").inner_text()
        assert await page.locator("[data-old-note]").is_hidden()
        await sync_to_async(QueueSample.objects.update)(measured_at=ago(130), next_measure_at=ago(120))
        await page.get_by_text(re.compile("These figures are from 2 m 1. s ago.")).wait_for()
        assert await page.locator(".pleme-cards[data-old]").count() == 1
        assert await page.locator(".pleme-queues[data-old]").count() == 1
        await take_picture(page, "dashboard-without-workers")
        # Another one starts, and measures.
        await sync_to_async(make_worker)()
        await sync_to_async(measure_now)()
        await page.locator("[data-health][data-level=ok]").wait_for()
        assert await page.locator("[data-old-note]").is_hidden()


async def test_an_open_page_tells_growth_slots_and_caps(
    chromium: Browser, live_server: Any, session_cookie: Any
) -> None:
    await sync_to_async(make_worker)(slots=30, async_slots=20, running=11, async_running=1)
    await sync_to_async(make_job)(product="acme", queue_name="mails")
    await sync_to_async(measure_now)()
    async with admin_page(chromium, session_cookie) as page:
        await page.goto(live_server.url + ROOT)
        payload = await page.evaluate("fetch('data.json').then((answer) => answer.json())")
        payload["queues"][0] |= {"clears_in_seconds": None, "growth_per_minute": 600.0, "is_capped": True}
        payload["cards"] |= {"ready": 200_000, "is_capped": True}
        payload["workers"][0] |= {"running": 21, "async_running": 20}
        payload |= {"cause_count": 308, "failures_are_capped": True}
        payload["health"] |= {"reason_count": 1_399}
        await page.route("**/data.json", lambda route: route.fulfill(status=200, json=payload))
        row = page.locator("tr[data-key='acme/mails']")
        await row.get_by_text("grows by 600/min", exact=True).wait_for()
        assert await row.locator("[data-field=ready]").inner_text() == "1+"
        assert await page.locator("[data-card=ready]").inner_text() == "200,000+"
        slots = await page.locator("[data-rows=workers] .pleme-slots-text").all_inner_texts()
        assert slots == ["sync 1 / 10", "async 20 / 20"]
        note = await page.locator("[data-failure-note]").inner_text()
        assert "0 of 308 causes" in note
        assert "Only the jobs that failed last are counted" in note
        assert "1,399 in total" in await page.locator("[data-health-reasons]").text_content()


@pytest.mark.usefixtures("busy")
async def test_rows_keep_their_places_under_the_pointer(
    chromium: Browser, live_server: Any, session_cookie: Any
) -> None:
    read_keys = "[...document.querySelectorAll('[data-rows=queues] > tr')].map((row) => row.dataset.key)"
    async with admin_page(chromium, session_cookie) as page:
        await page.goto(live_server.url + ROOT)
        payload = await page.evaluate("fetch('data.json').then((answer) => answer.json())")
        payload["queues"] = payload["queues"][:0:-1]  # without the first one, the others upside down
        before = await page.evaluate(read_keys)
        await page.locator("[data-rows=queues] > tr").last.hover()
        await page.route("**/data.json", lambda route: route.fulfill(json=payload))
        await page.locator("tr.pleme-gone").wait_for()
        assert await page.evaluate(read_keys) == before
        await page.mouse.move(5, 5)
        await page.locator("tr.pleme-gone").wait_for(state="detached")
        assert await page.evaluate(read_keys) == before[:0:-1]


@pytest.mark.usefixtures("busy")
async def test_charts_follow_the_theme_and_have_a_table(
    chromium: Browser, live_server: Any, session_cookie: Any
) -> None:
    async with admin_page(chromium, session_cookie, color_scheme="light") as page:
        await page.goto(live_server.url + ROOT)
        chart = page.locator("[data-chart=depth]")
        # Asked of the page at one moment: a chart that is drawn anew has another canvas.
        drawn = "document.querySelector('[data-chart=depth] canvas')?.toDataURL()"
        light = await (await page.wait_for_function(drawn)).json_value()
        await page.emulate_media(color_scheme="dark")
        await page.wait_for_function(f"light => ![undefined, light].includes({drawn})", arg=light)
        await chart.locator("summary").click()
        await chart.locator("tbody td").first.wait_for()  # The table is filled when it has opened.
        # 12 ready ones of one queue, and one of each of two others; two run.
        assert await chart.locator("tbody td").all_inner_texts() == ["14", "2", "0"]
        label = await chart.locator("[data-plot]").get_attribute("aria-label")
        assert label == "Depth, last hour. Latest: ready 14, running 2, blocked 0."


@pytest.mark.usefixtures("busy")
async def test_charts_are_drawn_again_of_the_same_queue(
    chromium: Browser, live_server: Any, session_cookie: Any
) -> None:
    async with admin_page(chromium, session_cookie) as page:
        await page.clock.install()
        await page.goto(live_server.url + ROOT + "queue/acme/mails/")
        await page.get_by_text("Every 5 s").wait_for()
        async with page.expect_request("**/series.json*") as asked:
            await page.clock.run_for(20_000)
        assert (await asked.value).url.endswith("?product=acme&queue=mails&span=1h")


@pytest.mark.usefixtures("busy")
async def test_page_of_a_job_says_that_its_queue_is_paused(
    chromium: Browser, live_server: Any, session_cookie: Any
) -> None:
    async with admin_page(chromium, session_cookie) as page:
        await page.goto(live_server.url + ROOT + "queue/")
        await page.locator("tr", has_text="reports").locator("[data-jobs=ready]").click()
        await page.locator("#result_list").get_by_role("link", name="tests.noop").click()
        await page.get_by_text("paused by ana", exact=False).first.wait_for()


async def test_a_page_names_its_table_and_asks_no_more_for_a_socket_that_has_another(
    chromium: Browser, live_server: Any, session_cookie: Any
) -> None:
    async with admin_page(chromium, session_cookie, blocks_sockets=False) as page:
        asked: list[str] = []

        async def refuse(socket: Any) -> None:
            asked.append(socket.url)
            await socket.close(code=4003, reason="these are the figures of another table")

        await page.route_web_socket("**/*", refuse)
        await page.clock.install()
        await page.goto(live_server.url + ROOT)
        await page.get_by_text("Every 5 s").wait_for()
        await await_until(lambda: asked, "the page's socket")
        await page.clock.run_for(60_000)
        assert [url.partition("/ws/")[2] for url in asked] == [
            "pleme/dashboard/?model=pleme_redis_django.job"
        ]


async def test_times_are_those_of_the_admin_wherever_the_browser_is(
    chromium: Browser, live_server: Any, session_cookie: Any, settings: Any
) -> None:
    settings.TIME_ZONE = "Asia/Kathmandu"
    await sync_to_async(make_job)(product="acme")
    await sync_to_async(measure_now)()
    async with admin_page(chromium, session_cookie, timezone_id="America/New_York", locale="en-GB") as page:
        await page.goto(live_server.url + ROOT)
        await page.get_by_text("Time zone: Asia/Kathmandu.").wait_for()
        chart = page.locator("[data-chart=depth]")
        await chart.locator("summary").click()
        payload = await page.evaluate("fetch('series.json').then((answer) => answer.json())")
        last = max(at for at, ready in zip(payload["times"], payload["ready"], strict=True) if ready)
        shown = datetime.fromtimestamp(last, tz=ZoneInfo("Asia/Kathmandu"))
        await chart.locator("tbody th", has_text=f"{shown:%H:%M:%S}").first.wait_for()
        await page.get_by_role("button", name="Pause updates").click()
        now = datetime.now(tz=ZoneInfo("Asia/Kathmandu"))
        text = await page.locator("[data-live-text]").inner_text()
        assert abs(int(text.split()[2][:2]) - now.hour) in (0, 1, 23)


async def test_without_a_script_no_empty_charts_are_shown_and_the_page_says_of_when_it_is(
    chromium: Browser, live_server: Any, session_cookie: Any
) -> None:
    async with admin_page(chromium, session_cookie, java_script_enabled=False) as page:
        await page.goto(live_server.url + ROOT)
        told = await page.locator("#pleme-dashboard noscript").all_inner_texts()
        assert "Without JavaScript this page does not update itself" in told[0]
        assert "need JavaScript" in told[1]
        assert await page.locator("[data-chart=depth]").is_hidden()


async def test_paused_page_asks_for_nothing(chromium: Browser, live_server: Any, session_cookie: Any) -> None:
    async with admin_page(chromium, session_cookie) as page:
        await page.clock.install()
        await page.goto(live_server.url + ROOT)
        await page.get_by_text("Every 5 s").wait_for()
        await page.get_by_role("button", name="Pause updates").click()
        await page.get_by_text("Paused at").wait_for()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.clock.run_for(30_000)
        assert asked == []
        await page.get_by_role("button", name="Resume updates").click()
        await await_until(lambda: any("data.json" in url for url in asked), "the page's next look")


async def test_hidden_page_asks_for_nothing(chromium: Browser, live_server: Any, session_cookie: Any) -> None:
    turn = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
    tell = "document.dispatchEvent(new Event('visibilitychange'))"
    async with admin_page(chromium, session_cookie) as page:
        await page.clock.install()
        await page.goto(live_server.url + ROOT)
        await page.get_by_text("Every 5 s").wait_for()
        await page.evaluate(turn % "true" + tell)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.clock.run_for(60_000)
        assert asked == []
        await page.evaluate(turn % "false" + tell)
        await await_until(lambda: any("data.json" in url for url in asked), "the page's next look")


@pytest.mark.usefixtures("busy")
async def test_patched_page_is_the_page_that_the_server_renders(
    chromium: Browser, live_server: Any, session_cookie: Any
) -> None:
    """The script and the templates render a row each: the same snapshot must look the same."""
    read_rows = "[...document.querySelectorAll('[data-rows] > *')].map((row) => row.outerHTML)"
    async with admin_page(chromium, session_cookie) as page:
        await page.goto(live_server.url + ROOT)
        payload = await page.evaluate("fetch('data.json').then((answer) => answer.json())")
        answered = {"status": 200, "json": payload}
        await page.route("**/data.json", lambda route: route.fulfill(**answered))
        rendered = await page.evaluate(read_rows)
        assert any("\\u202egnp.exe" in row for row in rendered)
        await page.evaluate(
            "document.querySelectorAll('[data-rows]').forEach((list) => list.replaceChildren())"
        )
        await page.locator("[data-rows] > *").nth(len(rendered) - 1).wait_for(state="attached")
        assert [_without_ages(row) for row in await page.evaluate(read_rows)] == [
            _without_ages(row) for row in rendered
        ]


def _without_ages(html: str) -> str:
    plain = re.sub(r"</?time[^>]*>", "", " ".join(html.split()))
    return re.sub(r"[\d.]+ (ms|s|m|h)( \d+ (s|m))?", "AGE", plain)


@pytest.mark.usefixtures("busy")
async def test_page_of_workers_stays_live_for_every_process(
    chromium: Browser, live_server: Any, session_cookie: Any
) -> None:
    """A row that the script cannot patch would leave all rows after it as they were loaded."""
    async with admin_page(chromium, session_cookie) as page:
        await page.goto(f"{live_server.url}{ROOT}worker/")
        payload = await page.evaluate("fetch('../data.json').then((answer) => answer.json())")
        for worker in payload["workers"]:
            worker["silent_seconds"] = 77
        await page.route("**/data.json*", lambda route: route.fulfill(status=200, json=payload))
        shown = (
            "[...document.querySelectorAll('[data-field=silent_seconds]')].map((cell) => cell.textContent)"
        )
        count = len(payload["workers"])
        assert count > 1
        await wait_for_truth(page, f"{shown}.filter((text) => text === '1 m 17 s').length === {count}")


@pytest.mark.usefixtures("busy")
async def test_page_says_so_when_nobody_is_signed_in_any_more(
    chromium: Browser, live_server: Any, session_cookie: Any
) -> None:
    async with admin_page(chromium, session_cookie) as page:
        await page.goto(live_server.url + ROOT)
        await page.context.clear_cookies()
        await page.get_by_text("You are signed out").wait_for()
        assert await page.get_by_role("button", name="Pause updates").count() == 0
