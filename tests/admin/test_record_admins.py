"""Failed attempts and worker processes in the admin: read, never written."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from pleme_redis_django.admin.record_admins import JobAttemptAdmin
from pleme_redis_django.admin.search import timeout
from pleme_redis_django.models import JobAttempt
from tests.admin.conftest import StaffLogin
from tests.hanging import HANGING_STATEMENT
from tests.rows import ago, make_attempt, make_failed_job, make_worker

pytestmark = pytest.mark.django_db
ATTEMPTS = "/admin/pleme_redis_django/jobattempt/"
WORKERS = "/admin/pleme_redis_django/workerprocess/"


def test_an_attempt_links_to_its_job_and_shows_its_traceback(admin_client: Client) -> None:
    job = make_failed_job()
    attempt = make_attempt(job, traceback="<b>Traceback</b>")
    link = f'href="/admin/pleme_redis_django/job/{job.pk}/change/"'
    assert link in admin_client.get(ATTEMPTS).content.decode()
    page = admin_client.get(f"{ATTEMPTS}{attempt.pk}/change/").content.decode()
    assert link in page
    assert "&lt;b&gt;Traceback&lt;/b&gt;" in page


def test_an_attempt_of_a_model_that_is_gone_is_listed_without_a_link(admin_client: Client) -> None:
    attempt = make_attempt(make_failed_job())
    JobAttempt.objects.filter(pk=attempt.pk).update(job_model="shop.gone")
    assert f"shop.gone {attempt.job_id}" in admin_client.get(ATTEMPTS).content.decode()


def test_a_list_that_takes_too_long_is_given_up(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(HANGING_STATEMENT)
        raise LookupError("no bound has ended the statement")

    monkeypatch.setattr(timeout, "SEARCH_SECONDS", 0.1)
    monkeypatch.setattr(JobAttemptAdmin, "get_queryset", slow)
    answer = admin_client.get(f"{ATTEMPTS}?job_id={uuid.uuid4()}", follow=True)
    assert "did not answer within 0.1 s" in answer.content.decode()


def test_attempts_are_found_by_the_id_of_their_job(admin_client: Client) -> None:
    job = make_failed_job()
    make_attempt(job, 1)
    make_attempt(make_failed_job(), 2)
    found = admin_client.get(f"{ATTEMPTS}?q={job.pk}").context["cl"].result_list
    assert [attempt.job_id for attempt in found] == [job.pk]
    assert list(admin_client.get(f"{ATTEMPTS}?q=nothing").context["cl"].result_list) == []


def test_workers_are_alive_draining_or_dead_in_words(admin_client: Client) -> None:
    make_worker(host="web-1", queues=["email", "<b>"])
    make_worker(host="web-3", drain_requested_at=ago(5))
    make_worker(host="web-4", draining_since=ago(5))
    make_worker(host="web-2", heartbeat_at=ago(300), lease_until=ago(275))
    page = admin_client.get(WORKERS).content.decode()
    assert "</span> Alive</span>" in page
    assert page.count("</span> Draining</span>") == 2
    assert "</span> Dead</span>" in page
    assert "email, &lt;b&gt;" in page
    assert re.search(r"5 m (\d+ s )?ago", page)


def test_a_worker_has_a_page(admin_client: Client) -> None:
    worker = make_worker(release="v1.2.3")
    assert "v1.2.3" in admin_client.get(f"{WORKERS}{worker.pk}/change/").content.decode()


@pytest.mark.parametrize("address", [ATTEMPTS, WORKERS])
def test_lists_make_the_same_queries_however_long(admin_client: Client, address: str) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get(address).status_code == 200
        return len(captured)

    make_worker()
    make_attempt(make_failed_job())
    few = queries()
    for _ in range(30):
        make_worker()
        make_attempt(make_failed_job())
    assert queries() == few <= 5


@pytest.mark.parametrize("address", [ATTEMPTS, WORKERS])
def test_nobody_adds_changes_or_deletes_records(admin_client: Client, address: str) -> None:
    record = make_worker() if address == WORKERS else make_attempt(make_failed_job())
    for page in ("add/", f"{record.pk}/delete/"):
        assert admin_client.get(address + page).status_code == 403
    assert admin_client.post(f"{address}{record.pk}/change/", {}).status_code == 403


def test_records_need_their_view_permission(staff: StaffLogin) -> None:
    assert staff("view_job").get(ATTEMPTS).status_code == 403
    assert staff("view_job").get(WORKERS).status_code == 403
    assert staff("view_jobattempt").get(ATTEMPTS).status_code == 200
    assert staff("view_workerprocess").get(WORKERS).status_code == 200
