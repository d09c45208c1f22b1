"""What an open page asks for: little, conditional, and another revision when there is more to show."""

from __future__ import annotations

from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings

from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import Job
from pleme_redis_django.operations import pause_queue
from tests.admin.conftest import LIST, StaffLogin
from tests.rows import ago, make_job

pytestmark = pytest.mark.django_db


def state_of(client: Client, job: Any, **headers: str) -> Any:
    return client.get(f"{LIST}{job.pk}/state/", headers=headers)


def running(**fields: Any) -> Any:
    return make_job(status=JobStatus.RUNNING, progress={"done": 1, "total": 4, "note": "rows"}, **fields)


def test_the_progress_is_in_the_answer(admin_client: Client) -> None:
    answer = state_of(admin_client, running()).json()
    assert answer["status"] == "Running"
    assert answer["progress"] == {"percent": 25.0, "text": "1 of 4 (25 %)", "note": "rows"}


def test_nothing_new_is_nothing_sent(admin_client: Client) -> None:
    job = running()
    etag = state_of(admin_client, job)["ETag"]
    again = state_of(admin_client, job, if_none_match=etag)
    assert (again.status_code, again.content) == (304, b"")
    Job.objects.filter(pk=job.pk).update(progress={"done": 2, "total": 4})
    assert state_of(admin_client, job, if_none_match=etag).status_code == 200


def test_a_bar_moves_within_one_revision(admin_client: Client) -> None:
    job = running()
    before = state_of(admin_client, job).json()["revision"]
    Job.objects.filter(pk=job.pk).update(progress={"done": 2, "total": 4})
    assert state_of(admin_client, job).json()["revision"] == before


@pytest.mark.parametrize(
    "change",
    [
        {"status": JobStatus.COMPLETED},
        {"attempt": 2},
        {"priority": 5},
        {"queue_name": "other"},
        {"run_after": ago(60)},
        {"cancel_requested_at": ago(0)},
        {"progress": {"step": "of another form"}},
        {"progress": None},
    ],
)
def test_whatever_the_page_shows_else_is_another_revision(
    admin_client: Client, change: dict[str, Any]
) -> None:
    job = running()
    before = state_of(admin_client, job).json()["revision"]
    page = admin_client.get(f"{LIST}{job.pk}/change/").content.decode()
    assert f'data-revision="{before}"' in page
    Job.objects.filter(pk=job.pk).update(**change)
    assert state_of(admin_client, job).json()["revision"] != before


def test_why_a_job_waits_is_shown_and_watched(admin_client: Client) -> None:
    job = make_job(queue_name="mails")
    before = state_of(admin_client, job).json()["revision"]
    pause_queue("mails", reason="<b>the provider is down</b>", paused_by="ana")
    assert state_of(admin_client, job).json()["revision"] != before
    page = unescape(admin_client.get(f"{LIST}{job.pk}/change/").content.decode())
    assert "Why isn’t this running?" in page  # noqa: RUF001 - as the page writes it
    assert "<b>the provider is down</b>" in page
    assert "ana" in page
    assert "Why isn" not in admin_client.get(f"{LIST}{running().pk}/change/").content.decode()


def test_the_answer_reads_a_few_columns_of_one_row(admin_client: Client) -> None:
    job = running()
    with CaptureQueriesContext(connection) as captured:
        state_of(admin_client, job)
    on_jobs = [query["sql"] for query in captured if 'FROM "pleme_redis_django_job"' in query["sql"]]
    assert len(on_jobs) == 1
    assert not any(f'"{name}"' in on_jobs[0] for name in ("parameters", "results", "error_message"))


@pytest.mark.parametrize(
    ("status", "seconds"), [(JobStatus.RUNNING, 1), (JobStatus.QUEUED, 2), (JobStatus.FAILED, 0)]
)
def test_a_page_asks_as_often_as_its_job_changes(
    admin_client: Client, status: JobStatus, seconds: int
) -> None:
    page = admin_client.get(f"{LIST}{make_job(status=status).pk}/change/").content.decode()
    assert f'data-poll-seconds="{seconds}"' in page


def test_only_who_may_see_the_job_may_ask(staff: StaffLogin) -> None:
    job = running()
    assert state_of(staff("retry_job"), job).status_code == 403
    assert state_of(staff("view_job"), job).status_code == 200
    assert state_of(Client(), job).status_code == 302


def shout(_job: Any, field: str, value: Any) -> Any:
    return {**value, "note": value["note"].upper()} if field == "progress" else value


def test_the_progress_is_redacted(admin_client: Client, settings: Any) -> None:
    path = f"{__name__}.{shout.__name__}"
    with override_settings(PLEME_REDIS=settings.PLEME_REDIS | {"REDACT": path}):
        assert state_of(admin_client, running()).json()["progress"]["note"] == "ROWS"
