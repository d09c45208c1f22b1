"""The failed attempts on the page of a job: the newest first, cut, and at the same cost."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.rows import make_attempt, make_failed_job

pytestmark = pytest.mark.django_db


def page_of(client: Client, job: Any) -> str:
    response = client.get(f"/admin/{job._meta.app_label}/{job._meta.model_name}/{job.pk}/change/")
    assert response.status_code == 200
    return response.content.decode()


def test_attempts_come_newest_first_with_their_tracebacks(admin_client: Client) -> None:
    job = make_failed_job()
    make_attempt(job, 1, traceback="Traceback: first", error_class="shop.errors.Away")
    make_attempt(job, 2, traceback="Traceback: second")
    make_attempt(make_failed_job(), 3, traceback="Traceback: of another job")
    page = page_of(admin_client, job)
    assert page.index("Traceback: second") < page.index("Traceback: first")
    assert "of another job" not in page
    assert "shop.errors.Away" in page


def test_a_huge_traceback_shows_its_end(admin_client: Client) -> None:
    job = make_failed_job()
    make_attempt(job, traceback="a" * 10_000_000 + "ValueError: at the end")
    page = page_of(admin_client, job)
    assert "ValueError: at the end" in page
    assert "of 10000022 characters" in page.replace(",", "")
    assert len(page) < 60_000


def test_many_attempts_are_cut_and_cost_the_same_queries(admin_client: Client) -> None:
    def queries(job: Any) -> int:
        with CaptureQueriesContext(connection) as captured:
            page_of(admin_client, job)
        return len(captured)

    few, many = make_failed_job(), make_failed_job()
    make_attempt(few)
    for number in range(1, 31):
        make_attempt(many, number)
    queries(few)  # content types are asked for once in a process
    assert queries(few) == queries(many) <= 5
    page = page_of(admin_client, many)
    assert page.count("<details") == 20
    [link] = re.findall('The newest 20 attempts. <a href="([^"]+)">All of them</a>', page)
    assert admin_client.get(unescape(link)).context["cl"].result_count == 30
