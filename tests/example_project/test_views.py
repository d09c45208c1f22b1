"""The shop's page: what there is, and how the jobs are doing."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client, RequestFactory

from example_project.shop import jobs, views
from example_project.shop.admin import EMAIL_DASHBOARD_SOCKET
from example_project.shop.models import CatalogItem, EmailJob
from example_project.shop.views import overview
from pleme_redis_django import Job, JobClaim, JobContext
from pleme_redis_django.models import FlowLimit

pytestmark = pytest.mark.urls("example_project.urls")


def test_overview_shows_counts_jobs_and_pictures(
    catalog: list[CatalogItem], settings: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings.MEDIA_ROOT, settings.MEDIA_URL = str(tmp_path), "/media/"
    jobs.draw_thumbnail(catalog[0].code)
    jobs.index_item.enqueue(catalog[1].code)
    page = overview(RequestFactory().get("/")).content.decode()
    assert "<dt>catalog items</dt><dd>20</dd>" in page
    assert "<dt>queued</dt><dd>1</dd>" in page
    assert f'src="/media/thumbnails/{catalog[0].code}.png"' in page


def test_email_jobs_have_a_dashboard_of_their_own(admin_client: Client) -> None:
    page = admin_client.get("/email/admin/pleme_redis_django/dashboard/")
    assert page.context["live"]["websocketPath"] == f"/{EMAIL_DASHBOARD_SOCKET}"
    assert admin_client.get("/email/admin/shop/emailjob/").status_code == 200


@pytest.mark.django_db
def test_large_counts_are_grouped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "jobs_by_status", lambda jobs: {"COMPLETED": 28_298})
    assert "<dd>28,298</dd>" in overview(RequestFactory().get("/")).content.decode()


@pytest.mark.django_db
def test_overview_of_an_empty_shop() -> None:
    page = overview(RequestFactory().get("/")).content.decode()
    assert "none yet" in page


def test_catalog_pages_come_from_the_cache_until_the_next_import(
    catalog: list[CatalogItem],
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    django_assert_num_queries: Callable[[int], Any],
) -> None:
    first = client.get("/catalog/")
    assert f"<td>{catalog[0].code}</td>" in first.content.decode()
    with django_assert_num_queries(0):
        assert client.get("/catalog/").content == first.content
    assert client.get("/catalog/2/").status_code == 200
    few = jobs.read_catalog(first=1)
    few[0].name = "Renamed Field"
    monkeypatch.setattr(jobs, "read_catalog", lambda: few)
    jobs.import_catalog(JobContext(Job(), JobClaim(worker_id="w", attempt=1), lambda _ctx: None))
    assert "Renamed Field" in client.get("/catalog/").content.decode()


def test_a_limit_of_email_jobs_is_refused_since_their_store_keeps_none(admin_client: Client) -> None:
    page = "/email/admin/pleme_redis_django/dashboard/limit/"
    numbers = {"max_running": "0"}, {"rate": "5", "per_seconds": "60"}
    for number in numbers:
        form = {"kind": "type", "name": EmailJob.Type.SEND_WELCOME_EMAIL, "reason": "the mail server is slow"}
        answer = admin_client.post(f"{page}add/", {**form, **number}, follow=True)
        (said,) = [str(message) for message in answer.context["messages"]]
        assert said.startswith("Nothing was changed. The limit of the type 'SendWelcomeEmail' is for jobs of")
        assert 'the pool "email" runs, whose EmailJobStore keeps no limits' in said
        assert said in html.unescape(answer.content.decode())
    assert not FlowLimit.objects.exists() and not LogEntry.objects.exists()
