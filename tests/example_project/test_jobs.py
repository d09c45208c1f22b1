"""The shop's jobs, called as the functions that they are."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from example_project.demo.mail_server import MailServer
from example_project.shop import jobs
from example_project.shop.deliveries import BookedDelivery, DeliveredLine
from example_project.shop.models import Accident, CatalogItem, Order, Thumbnail
from pleme_redis_django import InvalidParameters, Job, JobClaim, JobContext, JobStatus, ProviderError
from pleme_redis_django.jobs.definitions.schedule import timing_of
from pleme_redis_django.jobs.definitions.timing_in_words import in_words
from pleme_redis_django.testing import drain_jobs
from tests.jobs.pool_bench import Bench
from tests.jobs.recording import FunctionExecutor
from tests.waiting import wait_until


def context() -> tuple[JobContext, list[Any]]:
    reports: list[Any] = []
    claim = JobClaim(worker_id="w", attempt=1)
    return JobContext(Job(), claim, lambda ctx: reports.append(ctx.take_unwritten_progress())), reports


@pytest.mark.django_db
def test_import_reports_progress_every_100_items_and_lets_customers_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few = jobs.read_catalog(first=250)
    monkeypatch.setattr(jobs, "read_catalog", lambda: few)
    ctx, reports = context()
    assert jobs.import_catalog(ctx, orders=3) == {"imported": 250}
    assert [report["done"] for report in reports] == [100, 200, 250]
    assert CatalogItem.objects.count() == 250
    follow_up = Job.objects.get()
    assert (follow_up.job_type, follow_up.parameters) == (jobs.take_orders.name, {"count": 3, "seed": 1})


def test_the_report_counts_the_orders_of_a_day(catalog: list[CatalogItem]) -> None:
    for number in ("N1", "N2"):
        order = Order.objects.create(number=number, customer_name="Ada", email="ada@example.org")
        order.lines.create(item=catalog[0], quantity=2, unit_price_cents=150)
    Order.objects.filter(number="N2").update(placed_at=timezone.now() - timedelta(days=2))
    assert jobs.report_of_the_day() == {"orders": 1, "revenue_cents": 300}


def test_the_report_is_made_every_night() -> None:
    (nightly,) = jobs.report_of_the_day.schedules
    assert in_words(timing_of(nightly, "UTC")) == "at 03:00 every day, Berlin time"


def test_thumbnail_is_stored_once(
    catalog: list[CatalogItem], settings: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings.MEDIA_ROOT = str(tmp_path)
    for _attempt in range(2):
        result = jobs.draw_thumbnail(catalog[0].code)
    thumbnail = Thumbnail.objects.get()
    assert (thumbnail.image.name, thumbnail.image.size) == (result["file"], result["bytes"])
    assert [path.name for path in (tmp_path / "thumbnails").iterdir()] == [f"{catalog[0].code}.png"]


def test_a_photo_is_measured_apart(
    catalog: list[CatalogItem], settings: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings.MEDIA_ROOT = str(tmp_path)
    name = jobs.draw_thumbnail(catalog[0].code)["file"]
    jobs.measure_photo.enqueue(name=name)
    assert drain_jobs().completed[0].results == {"width": 480, "height": 320}
    assert jobs.measure_photo.bounds.isolated is True


def test_index_item_writes_its_words(catalog: list[CatalogItem]) -> None:
    jobs.index_item(catalog[0].code)
    catalog[0].refresh_from_db()
    assert catalog[0].code.lower() in catalog[0].search_text.split()


@pytest.mark.django_db(transaction=True)
async def test_async_job_counts_through_the_async_orm() -> None:
    await sync_to_async(jobs.save_items)(jobs.read_catalog(first=20))
    assert await jobs.count_by_country("US") == {"country": "US", "items": 20}


async def test_async_job_talks_to_the_mail_server(mail_server: MailServer) -> None:
    answer = await jobs.check_mail_server()
    assert answer["banner"].startswith("220 ")


def test_label_printer_is_always_off() -> None:
    with pytest.raises(ProviderError, match="label of N1") as refused:
        jobs.print_label("N1")
    assert refused.value.error_code == "printer_off"


@pytest.mark.django_db
def test_accident_happens_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    monkeypatch.setattr(jobs.os, "kill", lambda pid, signum: killed.append(pid))
    for _attempt in range(2):
        jobs.crash_the_worker_once("crash")
    assert (len(killed), Accident.objects.count()) == (1, 1)


def test_a_supplier_that_sends_nothing_is_ended_by_its_timeout() -> None:
    """In a thread as a worker's, with the timeout that the job has, made shorter."""
    pool = Bench()
    pool.store.add("import", timeout_seconds=0.05, configuration={"retry_on_timeout": False})
    worker = pool.pool(FunctionExecutor(lambda job: jobs.import_supplier_prices()))
    worker.launch()
    try:
        wait_until(lambda: pool.statuses() == [JobStatus.FAILED])
    finally:
        worker.stop(0)
    assert pool.store.all()[0].error_details["error_code"] == "timeout"
    assert jobs.import_supplier_prices.bounds.timeout == 3


@pytest.mark.django_db
def test_a_booking_and_the_end_of_its_job_are_one_commit(catalog: list[CatalogItem]) -> None:
    before = catalog[0].stock
    lines = [DeliveredLine(code=item.code, prints=5, unit_cost=Decimal("1.90")) for item in catalog[:2]]
    job = jobs.book_delivery.enqueue(arrived_on=date(2026, 1, 31), lines=lines)
    assert job.parameters["arrived_on"] == "2026-01-31"
    assert job.parameters["lines"][0] == {"code": catalog[0].code, "prints": 5, "unit_cost": "1.90"}
    (completed,) = drain_jobs().completed
    assert jobs.book_delivery.result_of(completed) == BookedDelivery(prints=10, cost=Decimal("19.00"))
    catalog[0].refresh_from_db()
    assert catalog[0].stock == before + 5


def test_a_wrong_line_of_a_delivery_is_refused_where_it_is_enqueued() -> None:
    line = DeliveredLine(code="EDDF", prints=5, unit_cost="cheap")
    with pytest.raises(InvalidParameters, match=r"lines\[0\]\.unit_cost is 'cheap'"):
        jobs.book_delivery.enqueue(arrived_on=date(2026, 1, 31), lines=[line])
