"""Lists of millions of rows: counted no further than the cap, in one order."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from pleme_redis_django.admin import capped_list
from pleme_redis_django.admin.capped_list import CappedPaginator
from pleme_redis_django.models import Job
from tests.admin.conftest import LIST, listed_ids
from tests.rows import make_job

pytestmark = pytest.mark.django_db(databases=["default", "sqlite"])


def test_the_newest_job_comes_first_whatever_the_address_asks(admin_client: Client) -> None:
    jobs = [make_job(priority=priority, job_type=f"t{priority}") for priority in (5, 1, 3)]
    for query in ("", "?o=2", "?o=-3"):
        listed = [job.pk for job in admin_client.get(LIST + query).context["cl"].result_list]
        assert listed == [job.pk for job in reversed(jobs)]


def test_a_search_that_finds_nothing_reads_the_table_once(admin_client: Client) -> None:
    make_job()
    with CaptureQueriesContext(connection) as captured:
        assert listed_ids(admin_client, "?q=nothing") == set()
    assert sum("LIKE 'nothing%" in query["sql"] for query in captured) == 1


def test_counting_stops_at_the_cap(monkeypatch: pytest.MonkeyPatch, admin_client: Client) -> None:
    monkeypatch.setattr(capped_list, "COUNT_CAP", 60)
    for _ in range(60):
        make_job()
    paginator = CappedPaginator(Job.objects.order_by("-id"), 50)
    assert str(paginator.count) == "60"
    make_job()
    paginator = CappedPaginator(Job.objects.order_by("-id"), 50)
    assert (str(paginator.count), int(paginator.count), paginator.num_pages) == ("60+", 60, 2)
    assert "60+ jobs" in " ".join(admin_client.get(LIST).content.decode().split())
    assert "All 60+ selected" in admin_client.get(LIST).content.decode()
    assert admin_client.get(LIST + "?p=2").status_code == 200


def test_the_cap_reads_as_a_number_with_separators() -> None:
    assert str(capped_list.CappedCount(10_000)) == "10,000+"
