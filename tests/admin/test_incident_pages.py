"""What an engineer on call needs of the admin's pages: nothing claimed that has not happened, nothing out of reach."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db.models.functions import Now
from django.test import Client

from pleme_redis_django.admin.dashboard import actions
from pleme_redis_django.models import Job, JobStatus
from pleme_redis_django.operations import pause_queue
from tests.admin.conftest import LIST, running_job, text_of
from tests.rows import ago, make_failed_job, make_job, make_worker

pytestmark = pytest.mark.django_db

ROOT = "/admin/pleme_redis_django/dashboard/"


# Cancelling what runs


def test_a_running_job_is_asked_to_end_and_not_called_cancelled(admin_client: Client) -> None:
    job = running_job()
    data = {"_selected_action": str(job.pk)}
    answer = admin_client.post(f"{LIST}bulk/cancel/", data, follow=True)
    said = [str(message) for message in answer.context["messages"]]
    assert said == ["Asked to end: 1. A handler that does not look goes on to its end."]
    assert LogEntry.objects.get().change_message == "Asked to end."


def test_both_kinds_of_jobs_are_counted_for_themselves(admin_client: Client) -> None:
    jobs = [running_job(), make_job(), make_job()]
    data = {"_selected_action": [str(job.pk) for job in jobs]}
    answer = admin_client.post(f"{LIST}bulk/cancel/", data, follow=True)
    said = [str(message) for message in answer.context["messages"]]
    assert said[0] == "Cancelled: 2." and said[1].startswith("Asked to end: 1.")
    told = dict(LogEntry.objects.values_list("object_id", "change_message"))
    assert told == {str(job.pk): "Asked to end." if job is jobs[0] else "Cancelled." for job in jobs}


def test_the_page_of_a_job_that_was_asked_to_end(admin_client: Client) -> None:
    job = running_job(cancel_requested_at=ago(5))
    page = text_of(admin_client, f"{LIST}{job.pk}/change/")
    assert "Running, asked to end" in page
    assert 'id="pleme-cancel"' not in page


def test_lists_of_one_status_show_what_is_asked_first(admin_client: Client) -> None:
    running_job()
    make_failed_job()
    make_job(status=JobStatus.PENDING, run_after=Now() + timedelta(hours=1))
    columns = {
        status: admin_client.get(f"{LIST}?status__exact={status}").context["cl"].list_display
        for status in ("RUNNING", "FAILED", "PENDING", "BLOCKED", "COMPLETED")
    }
    assert "running_shown" in columns["RUNNING"]
    assert "due_shown" in columns["PENDING"] and "due_shown" in columns["BLOCKED"]
    assert {"failed_shown", "error_shown"} <= set(columns["FAILED"])
    assert not {"running_shown", "due_shown", "failed_shown"} & set(columns["COMPLETED"])


def test_a_word_that_finds_nothing_says_where_it_was_looked_for(admin_client: Client) -> None:
    make_job()
    assert "write error:, queue:" in text_of(admin_client, f"{LIST}?q=ProviderDown")
    assert "write error:, queue:" not in text_of(admin_client, f"{LIST}?q=error:ProviderDown")


# Pauses


def test_every_pause_is_seen_and_can_be_resumed_where_the_queues_are(admin_client: Client) -> None:
    pause_queue("idle", reason="the printer is off", paused_by="ada")
    page = admin_client.get(f"{ROOT}queue/").content.decode()
    assert "the printer is off" in page
    # No job of the queue waits, so no row of a queue leads to it: the note of the pause has the button.
    assert f'action="{ROOT}queue/resume/"' in page and 'name="queue" value="idle"' in page
    answer = admin_client.post(
        f"{ROOT}queue/resume/", {"product": "", "queue": "idle", "shown": ""}, follow=True
    )
    assert answer.status_code == 200 and "is paused" not in answer.content.decode()


def test_who_paused_and_resumed_is_seen_after_the_pause_has_ended(admin_client: Client) -> None:
    names = {"product": "acme", "queue": "mail"}
    admin_client.post(f"{ROOT}queue/pause/", names | {"reason": "greylisted"})
    admin_client.post(f"{ROOT}queue/resume/", names)
    page = text_of(admin_client, f"{ROOT}queue/")
    assert "Paused: greylisted" in page and "Resumed." in page


def test_the_page_of_a_job_links_to_the_process_of_its_last_claim(admin_client: Client) -> None:
    worker = make_worker()
    job = make_job(worker_id=worker.pk, attempt=1)
    assert f"/workerprocess/{worker.pk}/change/" in text_of(admin_client, f"{LIST}{job.pk}/change/")


def test_a_group_that_is_larger_than_a_request_may_take_is_retried_in_steps(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "RETRIED_BATCHES", 1)
    monkeypatch.setattr("pleme_redis_django.admin.bulk.batches.BATCH_JOBS", 2)
    for _ in range(3):
        make_failed_job(error_fingerprint="f" * 32)
    group = {
        "fingerprint": "f" * 32,
        "job_type": "tests.noop",
        "span": "24h",
        "product": "",
        "confirmed": "1",
    }
    first = admin_client.post(f"{ROOT}error/retry/", group)
    assert first.status_code == 200 and "Retry 1 job" in first.content.decode()
    assert admin_client.post(f"{ROOT}error/retry/", group).status_code == 302
    assert Job.objects.filter(status=JobStatus.QUEUED).count() == 3


def test_a_project_that_groups_digits_can_release_a_lock_and_reads_plain_pids(
    admin_client: Client, settings: Any
) -> None:
    from pleme_redis_django.redis_state.locks import LockManager

    settings.USE_THOUSAND_SEPARATOR = True
    guard = LockManager("acme").try_lock("stock:1", 60)
    assert guard is not None
    page = text_of(admin_client, f"{ROOT}realtime/?product=acme")
    assert f'name="fence" value="{guard.fence}"' in page
    make_worker(pid=30561)
    assert "pid 30561" in text_of(admin_client, f"{ROOT}worker/")
    assert "30561" in text_of(admin_client, "/admin/pleme_redis_django/workerprocess/")
    guard.release()
