"""Which jobs an operation is for: those that were chosen, and nothing where nothing was understood."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from pleme_redis_django.admin.search import window as search_window
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import Job
from tests.admin.bulk.conftest import ALL, ask, run_to_the_end, words
from tests.admin.conftest import LIST
from tests.rows import make_failed_job, make_job

pytestmark = pytest.mark.django_db(databases=["default", "sqlite"])


@pytest.mark.usefixtures("small_batches")
def test_only_as_far_back_as_the_list_has_looked(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = make_failed_job(queue_name="a")
    new = make_failed_job(queue_name="a")
    for _ in range(4):
        make_job(queue_name="b")
    monkeypatch.setattr(search_window, "WINDOW_JOBS", 5)
    assert "Retry 1 job?" in words(ask(admin_client, "retry", "?queue=a"))
    run_to_the_end(admin_client, "retry", "?queue=a")
    statuses = {job.pk: job.status for job in Job.objects.filter(queue_name="a")}
    assert statuses == {old.pk: JobStatus.FAILED, new.pk: JobStatus.QUEUED}


def test_what_was_previewed_is_changed_though_new_jobs_arrive(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_window, "WINDOW_JOBS", 20)
    make_job()
    for _ in range(15):
        make_failed_job(queue_name="a")
    preview = ask(admin_client, "retry", "?queue=a").context
    for _ in range(15):
        make_job(queue_name="b")
    run_to_the_end(admin_client, "retry", "?queue=a", cursor=str(preview["cursor"]))
    assert not Job.objects.filter(status=JobStatus.FAILED).exists()


def test_a_search_that_is_not_understood_changes_nothing(admin_client: Client) -> None:
    make_failed_job()
    assert "nothing to do" in words(ask(admin_client, "retry", "?q=quue:a"))
    assert run_to_the_end(admin_client, "retry", "?q=quue:a")[0]["changed"] == 0


@pytest.mark.parametrize("query", ["?parameters__a=1", "?error_message__contains=a"])
def test_an_address_that_nobody_may_ask_changes_nothing(admin_client: Client, query: str) -> None:
    make_failed_job()
    assert admin_client.post(f"{LIST}bulk/retry/{query}", ALL).status_code == 400


@pytest.mark.parametrize("data", [{}, {"_selected_action": "no-id"}, {"_selected_action": ["1", "2"]}])
def test_no_selection_changes_nothing(admin_client: Client, data: dict[str, Any]) -> None:
    job = make_failed_job()
    admin_client.post(f"{LIST}bulk/retry/", data)
    job.refresh_from_db()
    assert job.status == JobStatus.FAILED


def test_nonsense_in_the_hidden_fields_is_no_error(admin_client: Client) -> None:
    make_failed_job()
    data = {**ALL, "cursor": "x", "last_id": "'", "changed": "-1"}
    assert admin_client.post(f"{LIST}bulk/retry/", data).status_code == 302
