"""How far back a list looks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from pleme_redis_django.admin.search import window as search_window
from pleme_redis_django.admin.search.conditions import first_id
from pleme_redis_django.jobs.interface.job import JobStatus
from tests.admin.conftest import listed_ids
from tests.rows import make_failed_job, make_job

pytestmark = pytest.mark.django_db(databases=["default", "sqlite"])


@pytest.fixture
def small_window(monkeypatch: pytest.MonkeyPatch) -> int:
    """The window of a table that is 10,000 times as large."""
    monkeypatch.setattr(search_window, "WINDOW_JOBS", 10)
    return 10


def old_and_new_jobs() -> tuple[Any, list[Any]]:
    old = make_job(
        id=first_id(timezone.now() - timedelta(days=2)), queue_name="rare", status=JobStatus.COMPLETED
    )
    return old, [make_job(status=JobStatus.COMPLETED) for _ in range(12)]


def test_what_has_no_index_is_looked_for_among_the_newest_jobs(
    admin_client: Client, small_window: int
) -> None:
    old, _new = old_and_new_jobs()
    response = admin_client.get("/admin/pleme_redis_django/job/?queue=rare")
    assert response.context["cl"].result_count == 0
    page = response.content.decode()
    assert "Looked through the newest 10 jobs, back to" in page
    earlier = admin_client.get("/admin/pleme_redis_django/job/" + response.context["cl"].earlier_url)
    assert [job.pk for job in earlier.context["cl"].result_list] == [old.pk]


@pytest.mark.parametrize(
    "query", ["", "?status__exact=QUEUED", "?created=1h", "?q=after:7d", "?status__exact=FAILED"]
)
def test_what_has_an_index_is_looked_for_everywhere(
    admin_client: Client, small_window: int, query: str
) -> None:
    old_and_new_jobs()
    assert admin_client.get(f"/admin/pleme_redis_django/job/{query}").context["cl"].window is None


@pytest.mark.parametrize("status", ["QUEUED", "BLOCKED", "PENDING", "RUNNING"])
def test_a_question_about_few_jobs_that_have_not_ended_looks_at_all_of_them(
    admin_client: Client, small_window: int, status: str
) -> None:
    _old, _new = old_and_new_jobs()
    stuck = make_job(id=first_id(timezone.now() - timedelta(days=9)), queue_name="rare", status=status)
    assert listed_ids(admin_client, f"?status__exact={status}&queue=rare") == {str(stuck.pk)}
    assert listed_ids(admin_client, f"?queue=rare&q=status:{status.lower()}") == {str(stuck.pk)}


def test_a_question_about_failures_looks_at_the_newest_failures(
    admin_client: Client, small_window: int
) -> None:
    old = make_failed_job(id=first_id(timezone.now() - timedelta(days=9)), queue_name="rare")
    old_and_new_jobs()
    assert listed_ids(admin_client, "?status__exact=FAILED&queue=rare") == {str(old.pk)}
    for _ in range(12):
        make_failed_job()
    assert listed_ids(admin_client, "?status__exact=FAILED&queue=rare") == set()


def test_a_window_is_found_in_one_query(admin_client: Client, small_window: int) -> None:
    old_and_new_jobs()
    with CaptureQueriesContext(connection) as captured:
        admin_client.get("/admin/pleme_redis_django/job/?q=param.a:1")
    assert sum("OFFSET 10" in query["sql"] for query in captured) == 1
