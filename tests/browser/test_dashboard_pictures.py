"""The pictures of the guided tour: an afternoon of a busy shop, as the tables behind the dashboard hold it.

With ``PLEME_SCREENSHOTS=docs/images`` they are put there; without it they are taken all the same, and
must be small enough for a repository.
"""

from __future__ import annotations

import math
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client
from django.utils import timezone

from pleme_redis_django.metrics.histogram import bucket_of
from pleme_redis_django.models import Job, QueueRollup, QueueSample, model_label
from pleme_redis_django.operations import pause_queue
from pleme_redis_django.redis_state.cache import CacheManager
from pleme_redis_django.redis_state.locks import LockManager
from pleme_redis_django.redis_state.presence import manager as presence
from pleme_redis_django.redis_state.presence.manager import PresenceManager
from tests.browser.admin_pages import SCREENSHOTS, admin_page, overflow_of
from tests.browser.test_dashboard import ROOT
from tests.rows import ago, make_failed_job, make_job, make_worker

if TYPE_CHECKING:
    from playwright.async_api import Browser


pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.asyncio(loop_scope="session"),
]

LABEL = model_label(Job)
STEP_SECONDS, STEPS = 10, 360
MAX_BYTES = 150_000
QUEUES: list[tuple[str, str, int, int, int, float | None, float, int, float | None]] = [
    # product, queue, ready, pending, running, oldest ready (s), ended a minute, failed in an hour, wait p95 (s)
    ("novaskyn", "default", 214, 38, 9, 6.2, 1240.4, 0, 8.4),
    ("novaskyn", "emails", 1_250, 12, 4, 412.0, 88.0, 31, 395.0),
    ("novaskyn", "images", 8_412, 0, 6, 41.0, 402.5, 2, 36.0),
    ("arcadia", "default", 0, 4, 1, None, 61.3, 0, 0.031),
    ("arcadia", "reports", 48, 0, 0, 1_260.0, 0.0, 0, None),
    ("arcadia", "webhooks", 17, 126, 3, 2.4, 9.2, 3, 1.1),
]
PAGES = {
    "overview": ("", {"width": 1280, "height": 1120}, "light"),
    "overview-dark": ("", {"width": 1360, "height": 760}, "dark"),
    "overview-phone": ("", {"width": 375, "height": 900}, "light"),
    "queue": ("queue/arcadia/reports/", {"width": 1360, "height": 720}, "light"),
    "workers": ("worker/", {"width": 1360, "height": 640}, "light"),
    "errors": ("error/", {"width": 1360, "height": 460}, "light"),
    "realtime": ("realtime/?product=novaskyn", {"width": 1360, "height": 600}, "light"),
}


@pytest.fixture
def afternoon(db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shop of two products: one queue is late, one is paused, one host has died."""
    settings.PLEME_REDIS = settings.PLEME_REDIS | {"DASHBOARD_MAX_WAIT": {"emails": 60, "*": 1800}}
    store_history()
    QueueSample.objects.create(
        job_model=LABEL,
        measured_at=timezone.now(),
        next_measure_at=timezone.now() + timedelta(minutes=5),
        queues=list(map(measured, QUEUES)),
    )
    pause_queue("reports", product="arcadia", reason="The warehouse is being migrated", paused_by="ana")
    store_workers()
    causes = [
        (
            "a",
            "smtplib.SMTPServerDisconnected",
            "Connection unexpectedly closed",
            "shop.jobs.send_receipt",
            31,
        ),
        (
            "b",
            "pleme_redis_django.exceptions.ProviderError",
            "The label printer is off",
            "shop.jobs.print_label",
            12,
        ),
        ("c", "httpx.ConnectTimeout", "timed out after 10 s", "shop.jobs.push_webhook", 3),
    ]
    for letter, kind, message, job_type, times in causes:
        for number in range(times):
            make_failed_job(
                product="novaskyn",
                job_type=job_type,
                error_message=message,
                error_details={"error_code": "provider_error", "exception_class": kind},
                error_fingerprint=letter * 32,
                failed_at=ago(40 + 61 * number),
            )
    # A process tells Redis every five minutes only which products it has; this Redis is empty.
    monkeypatch.setattr(presence, "_registered", {})
    for user in range(7):
        PresenceManager("novaskyn").set_online(user, f"c{user}")
    PresenceManager("arcadia").set_online(1, "c1")
    cache = CacheManager("novaskyn")
    cache.set("catalog", list(range(500)), 60)
    for key in ("catalog",) * 6 + ("missing",):
        cache.get(key)
    LockManager("novaskyn").try_lock("stock:N001", 120)
    LockManager("novaskyn").try_lock("import", 900)


def store_history() -> None:
    """Write an hour of rollups of everything, and of the paused queue."""
    end = int(time.time()) // STEP_SECONDS * STEP_SECONDS
    rows = []
    for index in range(STEPS):
        started_at = end - STEP_SECONDS * (STEPS - 1 - index)
        wave = 1 + 0.45 * math.sin(index / 31) + 0.12 * math.sin(index / 3.7)
        rows.append(rollup(started_at, wave))
        rows.append(rollup(started_at, wave / 9, product="arcadia", queue_name="reports", until=end - 1260))
    QueueRollup.objects.bulk_create(rows)


def rollup(started_at: int, wave: float, *, until: float = math.inf, **names: str) -> QueueRollup:
    """Return ten seconds; past ``until`` nothing ends any more and jobs pile up."""
    stands = started_at > until
    done = 0 if stands else round(290 * wave)
    burst = 1 if started_at % 900 < 120 else 0
    return QueueRollup(
        job_model=LABEL,
        step_seconds=STEP_SECONDS,
        started_at=started_at,
        completed=done,
        retried=0 if stands else round((4 + 40 * burst) * wave),
        failed=0 if stands else round((1 + 16 * burst) * wave),
        waits=spread(0.4 * wave**2, done),
        runs=spread(0.05, done),
        ready=round((started_at - until) / 26) if stands else round(900 * wave**2),
        running=0 if stands else round(22 * wave),
        **names,
    )


def spread(seconds: float, jobs: int) -> dict[str, int]:
    """Return a histogram around a duration, with a tail."""
    parts = {seconds: 0.6, seconds * 2: 0.2, seconds * 6: 0.2}
    return {str(bucket_of(each)): round(jobs * share) for each, share in parts.items() if jobs}


def measured(queue: tuple[Any, ...]) -> dict[str, Any]:
    """Return a queue as the sampler writes it."""
    product, name, ready, pending, running, oldest, pace, failed, wait = queue
    spark = [round(ready * (0.35 + 0.65 * abs(math.sin(minute / 9 + len(name))))) for minute in range(30)]
    return {
        "product": product,
        "queue": name,
        "ready": ready,
        "pending": pending,
        "running": running,
        "oldest_ready_at": None if oldest is None else time.time() - oldest,
        "done_per_minute": pace,
        "growth_per_minute": -pace / 3,
        "failed_last_hour": failed,
        "ended_of_late": round(10 * pace),
        "failed_of_late": failed // 6,
        "ended_usually": 0,
        "failed_usually": 0,
        "wait_p95": wait,
        "run_p95": 0.4,
        "oldest_running_at": time.time() - 8 if running else None,
        "is_capped": False,
        "spark": spark,
    }


def store_workers() -> None:
    """Write five processes that live, one of them draining, and one that died."""
    for number in range(5):
        worker = make_worker(
            host=f"web-{number // 2 + 1}",
            pid=4201 + 17 * number,
            slots=8,
            async_slots=5,
            running=[8, 6, 5, 3, 1][number],
            async_running=[5, 4, 3, 2, 0][number],
            release="2f9c41a",
            started_at=ago(7_400 - 60 * number),
            drain_requested_at=ago(20) if number == 4 else None,
        )
        for each in range(min(worker.running, 4)):
            running = {
                "status": "RUNNING",
                "worker_id": worker.pk,
                "claimed_at": ago(3),
                "started_at": ago(3 + each),
            }
            make_job(product="novaskyn", job_type="shop.jobs.draw_thumbnail", queue_name="images", **running)
    dead = {"heartbeat_at": ago(140), "lease_until": ago(115), "died_at": ago(114)}
    make_worker(host="web-4", pid=977, slots=8, started_at=ago(90_000), release="81d00be", **dead)


@pytest.mark.usefixtures("afternoon")
@pytest.mark.parametrize("name", PAGES)
async def test_picture_is_small_and_shows_the_whole_width(
    name: str,
    chromium: Browser,
    live_server: Any,
    session_cookie: Any,
    admin_client: Client,
) -> None:
    address, viewport, scheme = PAGES[name]
    options: Any = {"viewport": viewport, "color_scheme": scheme}
    async with admin_page(chromium, session_cookie, **options) as page:
        await page.goto(live_server.url + ROOT + address)
        if await page.locator("[data-charts]").count():
            await page.locator("[data-plot] canvas").nth(3).wait_for()
        if await page.locator("#pleme-live").count():
            await page.get_by_text("Every 5 s").wait_for()
        assert await overflow_of(page) <= 0
        picture = await page.screenshot()
    if SCREENSHOTS:
        (Path(SCREENSHOTS) / f"dashboard-{name}.png").write_bytes(picture)
    assert len(picture) < MAX_BYTES
