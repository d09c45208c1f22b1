"""What an engineer on call needs of the admin's pages: nothing claimed that has not happened, nothing out of reach."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db.models.functions import Now
from django.test import Client

from pleme_redis_django.admin import filters, job_list
from pleme_redis_django.admin.dashboard import actions
from pleme_redis_django.admin.search.window import Window
from pleme_redis_django.models import Job, JobStatus, WorkerProcess
from pleme_redis_django.operations import pause_queue
from tests.admin.conftest import LIST, StaffLogin
from tests.rows import ago, make_attempt, make_failed_job, make_job, make_worker

pytestmark = pytest.mark.django_db

ROOT = "/admin/pleme_redis_django/dashboard/"
asked_for: list[Any] = []


def only_acme(user: Any) -> list[str]:
    asked_for.append(user)
    return ["acme"]


def text_of(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return str(answer.content.decode())


def running_job(**fields: Any) -> Any:
    return make_job(
        status=JobStatus.RUNNING,
        worker_id=uuid.uuid4(),
        attempt=1,
        claimed_at=ago(60),
        started_at=ago(60),
        **fields,
    )


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


# Finding the oldest


def test_the_oldest_ready_jobs_come_first_however_many_are_newer(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = make_job()
    late = make_job(run_after=ago(3600))
    later = make_job(run_after=ago(1800))
    monkeypatch.setattr(job_list, "newest_jobs", lambda *_: Window(jobs=1, before_id=later.pk))
    page = admin_client.get(f"{LIST}?status__exact=QUEUED&order=oldest&queue=default")
    assert [job.pk for job in page.context["cl"].result_list] == [late.pk, later.pk, newest.pk]
    assert "Newest first" in page.content.decode()
    assert "order=oldest" in text_of(admin_client, ROOT)


def test_lists_of_one_status_show_what_is_asked_first(admin_client: Client) -> None:
    running_job()
    make_failed_job()
    make_job(status=JobStatus.PENDING, run_after=Now() + timedelta(hours=1))
    columns = {
        status: admin_client.get(f"{LIST}?status__exact={status}").context["cl"].list_display
        for status in ("RUNNING", "FAILED", "PENDING", "COMPLETED")
    }
    assert "running_shown" in columns["RUNNING"] and "due_shown" in columns["PENDING"]
    assert {"failed_shown", "error_shown"} <= set(columns["FAILED"])
    assert not {"running_shown", "due_shown", "failed_shown"} & set(columns["COMPLETED"])


def test_a_typed_status_is_understood(admin_client: Client) -> None:
    failed = make_failed_job()
    make_job()
    page = admin_client.get(f"{LIST}?status=failed", follow=True)
    assert [job.pk for job in page.context["cl"].result_list] == [failed.pk]


def test_a_word_that_finds_nothing_says_where_it_was_looked_for(admin_client: Client) -> None:
    make_job()
    assert "write error:, queue:" in text_of(admin_client, f"{LIST}?q=ProviderDown")
    assert "write error:, queue:" not in text_of(admin_client, f"{LIST}?q=error:ProviderDown")


def test_the_chosen_value_is_offered_however_many_there_are(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filters, "CHOICES_LIMIT", 2)
    for name in ("a", "b", "c", "z"):
        make_job(queue_name=name)
    page = admin_client.get(f"{LIST}?queue=z")
    [queues] = [spec for spec in page.context["cl"].filter_specs if spec.parameter_name == "queue"]
    assert [value for value, _shown in queues.lookup_choices] == ["z", "a"]


# Pauses


def test_every_pause_is_seen_and_can_be_resumed_where_the_queues_are(admin_client: Client) -> None:
    pause_queue("idle", reason="the printer is off", paused_by="ada")
    assert "the printer is off" in text_of(admin_client, f"{ROOT}queue/")
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


# Workers


def test_a_drain_is_asked_about_and_says_what_it_leaves_unserved(admin_client: Client) -> None:
    make_worker(queues=["mail", "sms"], host="one")
    assert "It is the last process alive" in text_of(admin_client, f"{ROOT}worker/")
    make_worker(queues=["mail"], host="two")
    page = text_of(admin_client, f"{ROOT}worker/")
    assert "Nobody else serves the queue sms." in page and page.count("Drain this process") == 2
    make_worker(queues=["*"], host="three")
    assert "Nobody else serves every other queue." in text_of(admin_client, f"{ROOT}worker/")


def test_the_worker_with_the_longest_running_job_is_on_top(admin_client: Client) -> None:
    quick, stuck = make_worker(host="quick"), make_worker(host="stuck")
    dead = make_worker(host="dead", died_at=ago(5))
    for worker, seconds in ((quick, 2), (stuck, 30_000)):
        job = running_job()
        Job.objects.filter(pk=job.pk).update(worker_id=worker.pk, started_at=ago(seconds))
    shown = [row["worker"].host for row in admin_client.get(f"{ROOT}worker/").context["rows"]]
    assert shown == [stuck.host, quick.host, dead.host]


def test_what_a_dead_worker_held_and_what_became_of_it_is_still_known(admin_client: Client) -> None:
    dead = make_worker(
        host="dead", started_at=ago(30_000), heartbeat_at=ago(20_000), died_at=ago(19_970), running=3
    )
    attempt = make_attempt(make_failed_job(), worker_id=dead.pk, error_code="worker_died")
    make_attempt(make_failed_job())
    page = text_of(admin_client, f"{ROOT}worker/")
    assert "held 3 jobs when last heard" in page
    assert re.search(r"lived</span> 2 h 46 m", page)
    (link,) = re.findall(r'href="([^"]+worker_id=[^"]+)"', page)
    assert list(admin_client.get(link).context["cl"].result_list) == [attempt]


def test_a_dead_workers_attempts_are_offered_to_those_who_may_see_them(staff: StaffLogin) -> None:
    make_worker(died_at=ago(5), running=1)
    assert "worker_id=" not in text_of(staff("view_job"), f"{ROOT}worker/")


def test_the_page_of_a_job_links_to_the_process_of_its_last_claim(admin_client: Client) -> None:
    worker = make_worker()
    job = make_job(worker_id=worker.pk, attempt=1)
    assert f"/workerprocess/{worker.pk}/change/" in text_of(admin_client, f"{LIST}{job.pk}/change/")


# What every page has in common


def test_the_chosen_product_stays_chosen_from_tab_to_tab(admin_client: Client) -> None:
    make_failed_job(product="acme", error_fingerprint="f" * 32)
    page = text_of(admin_client, f"{ROOT}?product=acme")
    for tab in ("queue/", "worker/", "error/", "realtime/"):
        assert f'href="{ROOT}{tab}?product=acme"' in page
    group = {
        "fingerprint": "f" * 32,
        "job_type": "tests.noop",
        "span": "24h",
        "product": "acme",
        "confirmed": "1",
    }
    answer = admin_client.post(f"{ROOT}error/retry/", group)
    assert answer.url == f"{ROOT}error/?span=24h&product=acme"


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


@pytest.mark.parametrize("address", ["worker/", "queue/", "", "error/"])
def test_the_hook_of_products_is_asked_once_a_page(staff: StaffLogin, settings: Any, address: str) -> None:
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "DASHBOARD_PRODUCTS": f"{__name__}.{only_acme.__name__}"}
    client = staff("view_job", "drain_workerprocess", "pause_job", "retry_job")
    for _ in range(5):
        make_worker()
    asked_for.clear()
    text_of(client, ROOT + address)
    assert len(asked_for) == 1


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


def test_the_dashboard_reads_from_left_to_right_in_every_language(admin_client: Client) -> None:
    answer = admin_client.get(ROOT, headers={"Accept-Language": "ar"})
    assert '<div id="pleme-dashboard" lang="en" dir="ltr">' in answer.content.decode()
    assert WorkerProcess.objects.count() == 0
