"""The list of jobs: what it shows, finds and counts, and at what cost."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings
from django.utils import timezone

from pleme_redis_django.admin.search.conditions import first_id
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import Job, new_job_id
from tests.admin.conftest import LIST, StaffLogin, listed_ids
from tests.rows import make_failed_job, make_job
from tests.workload.models import EmailJob

pytestmark = pytest.mark.django_db(databases=["default", "sqlite"])


def test_every_status_is_an_icon_and_a_word(admin_client: Client) -> None:
    for status in JobStatus:
        make_job(status=status)
    page = admin_client.get(LIST).content.decode()
    for status in JobStatus:
        assert f"</span> {status.capitalize()}</span>" in page


def test_deleted_jobs_are_not_listed(admin_client: Client) -> None:
    make_job(deleted_at=timezone.now())
    assert listed_ids(admin_client) == set()


def test_search_finds_an_id_by_its_beginning(admin_client: Client) -> None:
    job = make_job()
    make_job(id="ffffffff-0000-7000-8000-000000000000")
    for term in (str(job.pk), str(job.pk)[:13], job.pk.hex[:12].upper()):
        assert listed_ids(admin_client, f"?q={term}") == {str(job.pk)}


def test_the_first_id_of_a_time_is_below_every_id_made_later() -> None:
    before = timezone.now()
    assert first_id(before) < new_job_id() < first_id(timezone.now() + timedelta(milliseconds=2))
    assert first_id(before).version == 7


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


def test_the_list_of_failed_jobs_has_an_index() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
    explained = Job.objects.filter(status=JobStatus.FAILED, deleted_at=None).order_by("-id")[:50].explain()
    assert "pleme_redis_django_job_fail" in explained


def test_a_projects_own_job_model_has_the_same_list(admin_client: Client) -> None:
    make_job(model=EmailJob, recipient="ann@example.com", job_type="SendWelcomeEmail")
    page = admin_client.get("/admin/workload/emailjob/").content.decode()
    assert "SendWelcomeEmail" in page
    assert "pleme-queued" in page


def test_the_jobs_are_those_of_the_database_of_the_settings(admin_client: Client) -> None:
    here, there = make_job("sqlite"), make_failed_job("sqlite")
    make_job()
    with override_settings(PLEME_REDIS=django_settings.PLEME_REDIS | {"DATABASE": "sqlite"}):
        assert listed_ids(admin_client) == {str(here.pk), str(there.pk)}
        admin_client.post(LIST, {"action": "retry_selected", "_selected_action": [str(there.pk)]})
        page = admin_client.get(f"{LIST}{there.pk}/change/")
    there.refresh_from_db()
    assert there.status == JobStatus.QUEUED
    assert page.status_code == 200


def test_without_the_view_permission_there_is_no_list(staff: StaffLogin) -> None:
    assert staff().get(LIST).status_code == 403
    assert staff("retry_job", "delete_job").get(LIST).status_code == 403
    assert staff("view_job").get(LIST).status_code == 200
