"""Retry and delete in the admin: who may, what happens, and what is logged."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.test import Client

from pleme_redis_django.admin import job_model_admin
from pleme_redis_django.jobs.job import JobStatus
from pleme_redis_django.models import Job
from tests.admin.conftest import StaffLogin
from tests.rows import make_failed_job, make_job
from tests.workload.models import EmailJob

pytestmark = pytest.mark.django_db
LIST = "/admin/pleme_redis_django/job/"


def act(client: Client, action: str, *jobs: Any, **more: Any) -> Any:
    data = {"action": action, "_selected_action": [str(job.pk) for job in jobs], **more}
    return client.post(LIST, data, follow=True)


def statuses(*jobs: Any) -> list[str]:
    for job in jobs:
        job.refresh_from_db()
    return [job.status for job in jobs]


def test_selected_jobs_are_retried_and_logged(staff: StaffLogin) -> None:
    failed, cancelled, running = (
        make_failed_job(),
        make_job(status=JobStatus.CANCELLED),
        make_job(status=JobStatus.RUNNING),
    )
    page = act(staff("view_job", "retry_job"), "retry_selected", failed, cancelled, running).content.decode()
    assert statuses(failed, cancelled, running) == [JobStatus.QUEUED, JobStatus.QUEUED, JobStatus.RUNNING]
    assert "Retried: 2" in page
    assert "Left as they are: 1" in page
    logged = LogEntry.objects.filter(action_flag=CHANGE).values_list("object_id", "change_message")
    assert set(logged) == {(str(failed.pk), "Retried."), (str(cancelled.pk), "Retried.")}


def test_all_matching_jobs_are_retried_in_batches(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_model_admin, "RETRY_BATCH", 20)
    jobs = [make_failed_job() for _ in range(55)]
    other = make_failed_job(product="other")
    data = {"action": "retry_selected", "_selected_action": [str(jobs[0].pk)], "select_across": "1"}
    admin_client.post(f"{LIST}?product=default", data)
    assert set(statuses(*jobs)) == {JobStatus.QUEUED}
    assert statuses(other) == [JobStatus.FAILED]
    assert LogEntry.objects.count() == 55


@pytest.mark.parametrize(
    "permissions", [("view_job",), ("view_job", "delete_job"), ("view_job", "change_job")]
)
def test_without_its_permission_there_is_no_retry(staff: StaffLogin, permissions: tuple[str, ...]) -> None:
    job, client = make_failed_job(), staff(*permissions)
    assert "retry_selected" not in client.get(LIST).content.decode()
    assert f"{job.pk}/retry/" not in client.get(f"{LIST}{job.pk}/change/").content.decode()
    act(client, "retry_selected", job)
    assert client.post(f"{LIST}{job.pk}/retry/").status_code == 403
    assert statuses(job) == [JobStatus.FAILED]
    assert not LogEntry.objects.exists()


def test_a_job_is_retried_from_its_page(staff: StaffLogin) -> None:
    job, client = make_failed_job(), staff("view_job", "retry_job")
    assert f'action="{LIST}{job.pk}/retry/"' in client.get(f"{LIST}{job.pk}/change/").content.decode()
    page = client.post(f"{LIST}{job.pk}/retry/", follow=True).content.decode()
    assert statuses(job) == [JobStatus.QUEUED]
    assert "Retried: 1" in page
    assert f"{job.pk}/retry/" not in page, "a ready job has no such button"
    assert LogEntry.objects.get().object_id == str(job.pk)


def test_a_retry_of_a_job_that_is_no_longer_failed_says_so(staff: StaffLogin) -> None:
    job = make_job(status=JobStatus.RUNNING)
    page = staff("view_job", "retry_job").post(f"{LIST}{job.pk}/retry/", follow=True).content.decode()
    assert "Only failed and cancelled jobs can be retried." in page
    assert not LogEntry.objects.exists()


def test_a_retry_is_a_post_with_a_token(admin_user: Any) -> None:
    job, client = make_failed_job(), Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    assert client.get(f"{LIST}{job.pk}/retry/").status_code == 405
    assert client.post(f"{LIST}{job.pk}/retry/").status_code == 403
    assert statuses(job) == [JobStatus.FAILED]


@pytest.mark.parametrize("job_id", ["no-id", "00000000-0000-7000-8000-000000000000"])
def test_a_retry_of_no_job_is_not_found(admin_client: Client, job_id: str) -> None:
    assert admin_client.post(f"{LIST}{job_id}/retry/").status_code == 404
    assert admin_client.get(f"{LIST}{job_id}/part/parameters/").status_code == 404


def test_workers_are_woken_when_the_retry_has_committed(
    admin_client: Client, django_capture_on_commit_callbacks: Any
) -> None:
    from pleme_redis_django.redis_state.job_queue import JobQueue

    job = make_failed_job(queue_name="email")
    with django_capture_on_commit_callbacks(execute=True):
        admin_client.post(f"{LIST}{job.pk}/retry/")
    assert JobQueue("email").stats().length == 1


def test_a_deletion_is_confirmed_marks_the_row_and_is_logged(staff: StaffLogin) -> None:
    job, client = make_job(unique_slot="r:1"), staff("view_job", "delete_job")
    page = act(client, "delete_selected", job).content.decode()
    assert "Are you sure" in page
    job.refresh_from_db()
    assert job.deleted_at is None
    act(client, "delete_selected", job, post="yes")
    job.refresh_from_db()
    assert job.deleted_at is not None
    assert job.unique_slot is None
    assert LogEntry.objects.get().action_flag == DELETION
    assert Job.objects.count() == 1, "the row stays"


def test_a_job_is_deleted_from_its_page(staff: StaffLogin) -> None:
    job, client = make_job(), staff("view_job", "delete_job")
    client.post(f"{LIST}{job.pk}/delete/", {"post": "yes"})
    job.refresh_from_db()
    assert job.deleted_at is not None
    assert client.get(f"{LIST}{job.pk}/change/").status_code == 302, "as for any object that is gone"


@pytest.mark.parametrize("permissions", [("view_job",), ("view_job", "retry_job")])
def test_without_its_permission_there_is_no_delete(staff: StaffLogin, permissions: tuple[str, ...]) -> None:
    job, client = make_job(), staff(*permissions)
    assert "delete_selected" not in client.get(LIST).content.decode()
    act(client, "delete_selected", job, post="yes")
    assert client.post(f"{LIST}{job.pk}/delete/", {"post": "yes"}).status_code == 403
    job.refresh_from_db()
    assert job.deleted_at is None


def test_more_than_a_confirmation_can_carry_is_refused(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_model_admin, "DELETE_LIMIT", 2)
    jobs = [make_job() for _ in range(3)]
    page = act(admin_client, "delete_selected", *jobs, post="yes").content.decode()
    assert "more than 2 jobs" in page
    assert not Job.objects.exclude(deleted_at=None).exists()


def test_the_confirmation_lists_some_and_counts_all(admin_client: Client) -> None:
    jobs = [make_job() for _ in range(30)]
    page = act(admin_client, "delete_selected", *jobs).content.decode()
    assert "and 10 more" in page
    assert "Jobs: 30" in page


def test_a_projects_own_model_has_permissions_of_its_own(staff: StaffLogin) -> None:
    job = make_failed_job(model=EmailJob)
    address = f"/admin/workload/emailjob/{job.pk}/retry/"
    assert staff("view_emailjob", "view_job", "retry_job").post(address).status_code == 403
    assert staff("view_emailjob", "retry_emailjob").post(address).status_code == 302
    assert statuses(job) == [JobStatus.QUEUED]
