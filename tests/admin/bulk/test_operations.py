"""What the admin does to one job or to some: who may, what happens, what is logged and what is said."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.test import Client

from pleme_redis_django.admin.bulk.operations import OPERATIONS
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import Job
from tests.admin.conftest import LIST, OPTIONS, StaffLogin
from tests.rows import ago, make_failed_job, make_job
from tests.workload.models import EmailJob

pytestmark = pytest.mark.django_db

JSON = {"accept": "application/json"}
CHANGED_BY = {
    "retry": {"status": JobStatus.QUEUED},
    "run_now": {"status": JobStatus.QUEUED},
    "reschedule": {"status": JobStatus.PENDING},
    "change_priority": {"priority": 7},
    "change_queue": {"queue_name": "slow"},
    "skip": {"status": JobStatus.BLOCKED, "blocked_on": "o:default:order:7"},
    "cancel": {"status": JobStatus.CANCELLED},
    "delete": {"unique_slot": None},
}
AT_A_LIMIT = {"status": JobStatus.BLOCKED, "blocked_on": "k:default:stripe"}
PERMISSIONS = ("retry", "cancel", "reschedule", "delete")


def job_for(name: str, **fields: Any) -> Any:
    """Return a job that the operation changes."""
    statuses = {"retry": JobStatus.FAILED, "delete": JobStatus.COMPLETED}
    values = {"status": statuses.get(name, JobStatus.PENDING), "run_after": ago(-600), "unique_slot": "r:1"}
    if name == "skip":
        line = {"order_key": "order:7"}
        make_job(status=JobStatus.BLOCKED, blocked_on="o:default:order:7", **line)
        values |= {"attempt": 1, **line}
    return make_job(**(values | fields))


def act(client: Client, name: str, *jobs: Any, **more: Any) -> Any:
    """Choose an action of the list, for these jobs."""
    data = {"action": f"{name}_selected", "_selected_action": [str(job.pk) for job in jobs], **more}
    return client.post(LIST, data, follow=True)


def statuses(*jobs: Any) -> list[str]:
    for job in jobs:
        job.refresh_from_db()
    return [job.status for job in jobs]


def row_of(job: Any) -> dict[str, Any]:
    return dict(Job.objects.filter(pk=job.pk).values().get())


def test_every_operation_is_an_action_of_the_list(admin_client: Client) -> None:
    make_job()
    page = admin_client.get(LIST).content.decode()
    assert [name for name in OPERATIONS if f'value="{name}_selected"' not in page] == []
    assert CHANGED_BY.keys() == OPERATIONS.keys()


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        *((name, {}) for name in sorted(OPERATIONS)),
        *((name, AT_A_LIMIT) for name in sorted(OPERATIONS.keys() - {"retry", "run_now"})),
    ],
)
def test_an_operation_changes_a_job_from_its_page(
    staff: StaffLogin, name: str, fields: dict[str, Any]
) -> None:
    operation = OPERATIONS[name]
    job, client = job_for(name, **fields), staff("view_job", f"{operation.permission}_job")
    address = f"{LIST}{job.pk}/operation/{name}/"
    assert f'action="{address}"' in client.get(f"{LIST}{job.pk}/change/").content.decode()
    response = client.post(address)
    if operation.asks:
        before = row_of(job)
        page = response.content.decode()
        assert re.search(rf"{operation.label}( of)? 1 job\?", page)
        assert row_of(job) == before
        data = {"_selected_action": str(job.pk), "from_page": "1", **OPTIONS.get(name, {})}
        response = client.post(f"{LIST}bulk/{name}/", data)
    assert response.url == f"{LIST}{job.pk}/change/"
    job.refresh_from_db()
    assert {field: getattr(job, field) for field in CHANGED_BY[name]} == CHANGED_BY[name]
    assert (job.deleted_at is not None) == (name == "delete")
    logged = LogEntry.objects.get()
    assert (logged.object_id, logged.action_flag) == (str(job.pk), DELETION if name == "delete" else CHANGE)
    assert logged.change_message.startswith(operation.done.partition("{")[0])


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_without_its_permission_there_is_no_button_and_no_way(staff: StaffLogin, name: str) -> None:
    job = job_for(name)
    others = [f"{each}_job" for each in PERMISSIONS if each != OPERATIONS[name].permission]
    client, before = staff("view_job", "change_job", *others), row_of(job)
    data = {"_selected_action": str(job.pk), **OPTIONS.get(name, {})}
    assert f"{name}_selected" not in client.get(LIST).content.decode()
    assert f"operation/{name}/" not in client.get(f"{LIST}{job.pk}/change/").content.decode()
    act(client, name, job)
    act(client, name, job, select_across="1")
    assert client.post(f"{LIST}{job.pk}/operation/{name}/", data).status_code == 403
    for across in ("0", "1"):
        for headers in ({}, JSON):
            posted = client.post(f"{LIST}bulk/{name}/", {**data, "select_across": across}, headers=headers)
            assert posted.status_code == 403
    assert row_of(job) == before
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_who_may_act_and_not_see_may_not_act(staff: StaffLogin, name: str) -> None:
    job, client = job_for(name), staff(f"{OPERATIONS[name].permission}_job")
    before = row_of(job)
    data = {"_selected_action": str(job.pk), **OPTIONS.get(name, {})}
    assert client.post(f"{LIST}bulk/{name}/", data).status_code == 403
    assert client.post(f"{LIST}{job.pk}/operation/{name}/", data).status_code == 403
    assert row_of(job) == before


def test_only_a_head_is_offered_to_be_passed(admin_client: Client) -> None:
    head = job_for("skip")
    behind = Job.objects.exclude(pk=head.pk).get()
    other = make_job()
    offered = [
        f'action="{LIST}{job.pk}/operation/skip/"'
        in admin_client.get(f"{LIST}{job.pk}/change/").content.decode()
        for job in (head, behind, other)
    ]
    assert offered == [True, False, False]


@pytest.mark.parametrize("path", ["bulk/retry/", "{}/operation/retry/"])
def test_an_operation_is_a_post_with_a_token(admin_user: Any, path: str) -> None:
    job, client = make_failed_job(), Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    address = LIST + path.format(job.pk)
    assert client.get(address).status_code == 405
    assert client.post(address, {"select_across": "1"}).status_code == 403
    assert statuses(job) == [JobStatus.FAILED]


@pytest.mark.parametrize("path", ["bulk/explode/", "{}/operation/explode/"])
def test_there_is_no_other_operation(admin_client: Client, path: str) -> None:
    assert admin_client.post(LIST + path.format(make_job().pk)).status_code == 404


@pytest.mark.parametrize("job_id", ["no-id", "00000000-0000-7000-8000-000000000000"])
def test_pages_of_no_job_are_not_found(admin_client: Client, job_id: str) -> None:
    assert admin_client.post(f"{LIST}{job_id}/operation/retry/").status_code == 404
    assert admin_client.get(f"{LIST}{job_id}/part/parameters/").status_code == 404
    assert admin_client.get(f"{LIST}{job_id}/state/").status_code == 404


def test_selected_jobs_are_retried_at_once(staff: StaffLogin) -> None:
    failed, cancelled = make_failed_job(), make_job(status=JobStatus.CANCELLED)
    running = make_job(status=JobStatus.RUNNING)
    page = act(staff("view_job", "retry_job"), "retry", failed, cancelled, running).content.decode()
    assert statuses(failed, cancelled, running) == [JobStatus.QUEUED, JobStatus.QUEUED, JobStatus.RUNNING]
    assert "Retried: 2." in page
    assert "Not changed: 1. Only failed and cancelled jobs can be retried." in page
    logged = LogEntry.objects.filter(action_flag=CHANGE).values_list("object_id", "change_message")
    assert set(logged) == {(str(failed.pk), "Retried."), (str(cancelled.pk), "Retried.")}


def test_a_retry_of_a_job_that_is_no_longer_failed_says_so(staff: StaffLogin) -> None:
    job, client = make_job(status=JobStatus.RUNNING), staff("view_job", "retry_job")
    page = client.post(f"{LIST}{job.pk}/operation/retry/", follow=True).content.decode()
    assert "Only failed and cancelled jobs can be retried." in page
    assert not LogEntry.objects.exists()


def test_workers_are_woken_when_the_retry_has_committed(
    admin_client: Client, django_capture_on_commit_callbacks: Any
) -> None:
    from pleme_redis_django.redis_state.wakeups.job_queue import JobQueue

    job = make_failed_job(queue_name="email")
    with django_capture_on_commit_callbacks(execute=True):
        admin_client.post(f"{LIST}{job.pk}/operation/retry/")
    assert JobQueue("email").stats().length == 1


def test_a_running_job_is_asked_to_end(admin_client: Client) -> None:
    job = make_job(status=JobStatus.RUNNING, worker_id="11111111-1111-4111-8111-111111111111")
    admin_client.post(f"{LIST}bulk/cancel/", {"_selected_action": str(job.pk)})
    job.refresh_from_db()
    assert (job.status, job.cancel_requested_at is not None) == (JobStatus.RUNNING, True)


def test_a_deletion_marks_the_row(staff: StaffLogin) -> None:
    job, client = make_job(unique_slot="r:1"), staff("view_job", "delete_job")
    assert "Delete 1 job?" in act(client, "delete", job).content.decode()
    page = client.post(f"{LIST}bulk/delete/", {"_selected_action": str(job.pk)}, follow=True).content.decode()
    assert "Deleted: 1." in page
    assert Job.objects.count() == 1, "the row stays"
    assert client.get(f"{LIST}{job.pk}/change/").status_code == 302, "as for any object that is gone"


def test_the_stock_page_of_deletion_marks_the_row_too(staff: StaffLogin) -> None:
    job = make_job()
    assert staff("view_job").post(f"{LIST}{job.pk}/delete/", {"post": "yes"}).status_code == 403
    staff("view_job", "delete_job").post(f"{LIST}{job.pk}/delete/", {"post": "yes"})
    job.refresh_from_db()
    assert job.deleted_at is not None


def test_a_projects_own_model_has_permissions_of_its_own(staff: StaffLogin) -> None:
    job = make_failed_job(model=EmailJob)
    address = f"/admin/workload/emailjob/{job.pk}/operation/retry/"
    assert staff("view_emailjob", "view_job", "retry_job").post(address).status_code == 403
    assert staff("view_emailjob", "retry_emailjob").post(address).status_code == 302
    assert statuses(job) == [JobStatus.QUEUED]
