"""Addresses and forms that staff make by hand: nothing hidden is read out, nothing unbounded runs, no 500."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from pleme_redis_django.admin.search.window import Window
from pleme_redis_django.models import Job, JobAttempt, JobStatus
from tests.rows import make_job, make_worker

pytestmark = pytest.mark.django_db

JOBS = "/admin/pleme_redis_django/job/"
ATTEMPTS = "/admin/pleme_redis_django/jobattempt/"
WORKERS = "/admin/pleme_redis_django/workerprocess/"
DASHBOARD = "/admin/pleme_redis_django/dashboard/"


@pytest.fixture
def failed_job() -> Any:
    job = make_job(status=JobStatus.FAILED)
    JobAttempt.objects.create(
        job_model="pleme_redis_django.job",
        job_id=job.pk,
        product=job.product,
        attempt=1,
        worker_id=uuid.uuid4(),
        error_code="declined",
        message="declined 4111-S",
    )
    return job


@pytest.mark.parametrize(
    "address",
    [
        f"{ATTEMPTS}?message__startswith=declined",
        f"{ATTEMPTS}?traceback__regex=4111-[A-S]",
        f"{ATTEMPTS}?message=declined%204111-S",
        f"{ATTEMPTS}?error_code__startswith=d",
        f"{ATTEMPTS}?product__regex=n",
        f"{WORKERS}?host__startswith=a",
        f"{JOBS}?product__regex=n",
        f"{JOBS}?queue_name__startswith=d",
        f"{JOBS}?error_message__startswith=d",
    ],
)
def test_no_lookup_reads_out_what_a_page_hides(admin_client: Client, failed_job: Any, address: str) -> None:
    assert admin_client.get(address).status_code == 400


def test_attempts_of_one_job_are_still_found_by_its_id(admin_client: Client, failed_job: Any) -> None:
    other = make_job(status=JobStatus.FAILED)
    for address in (f"{ATTEMPTS}?job_id={failed_job.pk}", f"{ATTEMPTS}?q={failed_job.pk}"):
        assert admin_client.get(address).context["cl"].result_count == 1
    assert admin_client.get(f"{ATTEMPTS}?q={other.pk}").context["cl"].result_count == 0


@pytest.mark.parametrize(
    "address",
    [
        f"{JOBS}?queue=%00",
        f"{JOBS}?type=%00",
        f"{JOBS}?product=%00",
        f"{ATTEMPTS}?job_id=%00",
        f"{ATTEMPTS}?q=%00",
        f"{DASHBOARD}series.json?queue=%00",
        f"{DASHBOARD}?product=%00",
    ],
)
def test_nul_in_an_address_is_a_bad_request(admin_client: Client, address: str) -> None:
    assert admin_client.get(address).status_code in (302, 400, 404)


@pytest.mark.parametrize(
    ("address", "data"),
    [
        ("queue/pause/", {"queue": "default", "product": "novaskyn", "reason": "\x00"}),
        ("error/retry/", {"fingerprint": "\x00", "job_type": "a", "span": "1h", "product": ""}),
        ("error/retry/", {"fingerprint": "", "job_type": "\x00", "span": "1h", "product": ""}),
    ],
)
def test_nul_in_a_form_is_a_bad_request(admin_client: Client, address: str, data: dict[str, str]) -> None:
    assert admin_client.post(f"{DASHBOARD}{address}", data).status_code == 400


@pytest.mark.parametrize("fence", ["9" * 5_000, "-1", "1.5", "", "１"])  # noqa: RUF001 - a digit, and no ASCII
def test_a_fence_that_is_no_number_is_not_found(admin_client: Client, fence: str) -> None:
    data = {"product": "novaskyn", "digest": "0" * 16, "fence": fence, "reason": "test"}
    assert admin_client.post(f"{DASHBOARD}realtime/release/", data).status_code == 404


def test_a_count_of_many_digits_is_taken_for_none(admin_client: Client) -> None:
    job = make_job(status=JobStatus.FAILED)
    data = {"_selected_action": str(job.pk), "changed": "9" * 5_000}
    assert admin_client.post(f"{JOBS}bulk/retry/", data).status_code == 302
    job.refresh_from_db()
    assert job.status == JobStatus.QUEUED


def test_a_path_of_two_hundred_parameters_is_refused_in_words(admin_client: Client) -> None:
    page = admin_client.get(JOBS, {"q": f"param.{'.'.join('a' * 200)}:1"})
    assert "at most 20" in page.content.decode()


def test_the_link_to_earlier_jobs_keeps_a_quoted_search_whole(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_job()
    oldest = Window(jobs=1, before_id=uuid.UUID(int=0))
    monkeypatch.setattr("pleme_redis_django.admin.job_list.newest_jobs", lambda *_: oldest)
    page = admin_client.get(JOBS, {"q": 'error:"two  words" before:2030-01-01'})
    address = page.context["cl"].earlier_url
    assert "%22two++words%22" in address and address.count("before%3A") == 1


def test_a_cursor_of_ones_own_does_not_lead_out_of_the_window(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = make_job(status=JobStatus.FAILED), make_job(status=JobStatus.FAILED)
    monkeypatch.setattr(
        "pleme_redis_django.admin.job_list.newest_jobs", lambda *_: Window(jobs=1, before_id=old.pk)
    )
    data = {"select_across": "1", "cursor": str(uuid.UUID(int=0)), "changed": "0"}
    answer = admin_client.post(
        f"{JOBS}bulk/retry/?queue=default", data, headers={"Accept": "application/json"}
    )
    assert answer.json()["changed"] == 1
    for job in (old, new):
        job.refresh_from_db()
    assert (old.status, new.status) == (JobStatus.FAILED, JobStatus.QUEUED)
    assert LogEntry.objects.count() == 1


def test_pages_of_a_project_without_time_zones(admin_client: Client, settings: Any) -> None:
    settings.USE_TZ = False
    job = make_job(status=JobStatus.FAILED, error_message="boom")
    Job.objects.filter(pk=job.pk).update(failed_at="2026-11-27 03:00:00")
    waiting = make_job()
    make_worker()
    for address in ("", "queue/", "worker/", "error/?span=7d", "realtime/"):
        assert admin_client.get(f"{DASHBOARD}{address}").status_code == 200
    form = admin_client.post(JOBS, {"action": "reschedule_selected", "_selected_action": [str(waiting.pk)]})
    assert form.status_code == 200
