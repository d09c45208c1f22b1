"""The list of jobs: what it shows, finds and counts, and at what cost."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings
from django.utils import timezone

from pleme_redis_django.admin import capped_list
from pleme_redis_django.admin.capped_list import CappedPaginator
from pleme_redis_django.admin.search.conditions import first_id
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import Job, new_job_id
from tests.admin.conftest import StaffLogin
from tests.rows import make_failed_job, make_job
from tests.workload.models import EmailJob

pytestmark = pytest.mark.django_db(databases=["default", "sqlite"])
LIST = "/admin/pleme_redis_django/job/"


def shown_ids(client: Client, query: str = "") -> set[str]:
    response = client.get(LIST + query)
    assert response.status_code == 200, response
    return {str(job.pk) for job in response.context["cl"].result_list}


def test_every_status_is_an_icon_and_a_word(admin_client: Client) -> None:
    for status in JobStatus:
        make_job(status=status)
    page = admin_client.get(LIST).content.decode()
    for status in JobStatus:
        assert f"</span> {status.capitalize()}</span>" in page


def test_the_newest_job_comes_first_whatever_the_address_asks(admin_client: Client) -> None:
    jobs = [make_job(priority=priority, job_type=f"t{priority}") for priority in (5, 1, 3)]
    for query in ("", "?o=2", "?o=-3"):
        listed = [job.pk for job in admin_client.get(LIST + query).context["cl"].result_list]
        assert listed == [job.pk for job in reversed(jobs)]


def test_deleted_jobs_are_not_listed(admin_client: Client) -> None:
    make_job(deleted_at=timezone.now())
    assert shown_ids(admin_client) == set()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?status__exact=FAILED", {"failed"}),
        ("?queue=email", {"email"}),
        ("?type=shop.import", {"import"}),
        ("?product=novaskyn", {"novaskyn"}),
        ("?queue=nothing", set()),
        ("?q=shop.im", {"import"}),
        ("?q=import", set()),
    ],
)
def test_filters_and_search_find_what_they_name(admin_client: Client, query: str, found: set[str]) -> None:
    jobs = {
        "failed": make_failed_job(),
        "email": make_job(queue_name="email"),
        "import": make_job(job_type="shop.import"),
        "novaskyn": make_job(product="novaskyn"),
    }
    assert shown_ids(admin_client, query) == {str(jobs[name].pk) for name in found}


def test_search_finds_an_id_by_its_beginning(admin_client: Client) -> None:
    job = make_job()
    make_job(id="ffffffff-0000-7000-8000-000000000000")
    for term in (str(job.pk), str(job.pk)[:13], job.pk.hex[:12].upper()):
        assert shown_ids(admin_client, f"?q={term}") == {str(job.pk)}


def test_jobs_are_filtered_by_the_time_in_their_ids(admin_client: Client) -> None:
    young = make_job()
    make_job(id=first_id(timezone.now() - timedelta(hours=2)))
    assert shown_ids(admin_client, "?created=1h") == {str(young.pk)}
    assert len(shown_ids(admin_client, "?created=24h")) == 2


def test_the_first_id_of_a_time_is_below_every_id_made_later() -> None:
    before = timezone.now()
    assert first_id(before) < new_job_id() < first_id(timezone.now() + timedelta(milliseconds=2))
    assert first_id(before).version == 7


def test_the_filters_offer_what_recent_jobs_hold_and_what_is_chosen(admin_client: Client) -> None:
    make_job(queue_name="email")
    make_job(queue_name="images")
    page = admin_client.get(LIST + "?queue=gone").content.decode()
    assert all(f"?queue={name}" in page for name in ("email", "images", "gone"))


def test_a_list_makes_the_same_queries_for_1_job_and_for_60(admin_client: Client) -> None:
    def queries() -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get(LIST + "?status__exact=FAILED").status_code == 200
        return [query["sql"] for query in captured]

    make_failed_job()
    one = queries()
    for _ in range(60):
        make_failed_job()
    many = queries()
    assert len(one) == len(many) <= 6
    on_jobs = [sql for sql in many if 'FROM "pleme_redis_django_job"' in sql]
    assert all("LIMIT" in sql for sql in on_jobs), "nothing reads the table to its end"
    assert not any('"parameters"' in sql or '"results"' in sql for sql in on_jobs)


def test_a_search_that_finds_nothing_reads_the_table_once(admin_client: Client) -> None:
    make_job()
    with CaptureQueriesContext(connection) as captured:
        assert shown_ids(admin_client, "?q=nothing") == set()
    assert sum("LIKE 'nothing%" in query["sql"] for query in captured) == 1


def test_the_list_of_failed_jobs_has_an_index() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
    explained = Job.objects.filter(status=JobStatus.FAILED, deleted_at=None).order_by("-id")[:50].explain()
    assert "pleme_redis_django_job_fail" in explained


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


def test_a_projects_own_job_model_has_the_same_list(admin_client: Client) -> None:
    make_job(model=EmailJob, recipient="ann@example.com", job_type="SendWelcomeEmail")
    page = admin_client.get("/admin/workload/emailjob/").content.decode()
    assert "SendWelcomeEmail" in page
    assert "pleme-queued" in page


def test_the_jobs_are_those_of_the_database_of_the_settings(admin_client: Client) -> None:
    here, there = make_job("sqlite"), make_failed_job("sqlite")
    make_job()
    with override_settings(PLEME_REDIS=django_settings.PLEME_REDIS | {"DATABASE": "sqlite"}):
        assert shown_ids(admin_client) == {str(here.pk), str(there.pk)}
        admin_client.post(LIST, {"action": "retry_selected", "_selected_action": [str(there.pk)]})
        page = admin_client.get(f"{LIST}{there.pk}/change/")
    there.refresh_from_db()
    assert there.status == JobStatus.QUEUED
    assert page.status_code == 200


def test_without_the_view_permission_there_is_no_list(staff: StaffLogin) -> None:
    assert staff().get(LIST).status_code == 403
    assert staff("retry_job", "delete_job").get(LIST).status_code == 403
    assert staff("view_job").get(LIST).status_code == 200
