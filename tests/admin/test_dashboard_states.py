"""The pages of the dashboard in the states in which people open them: they must not say what is not true."""

from __future__ import annotations

import re
import time
from typing import Any
from urllib.parse import unquote

import pytest
from django.test import Client, override_settings
from django.utils.html import strip_tags

from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import Job, QueueRollup, QueueSample, WorkerProcess
from pleme_redis_django.operations import pause_queue
from tests.admin.conftest import StaffLogin
from tests.metrics.measuring import ended, measure_now, store_endings
from tests.rows import ago, make_failed_job, make_job, make_jobs, make_worker
from tests.workload.models import EmailJob

pytestmark = pytest.mark.django_db

ROOT = "/admin/pleme_redis_django/dashboard/"


def text_of(client: Client, page: str = "") -> str:
    """Return what a page says, without its marks and with single spaces."""
    response = client.get(ROOT + page)
    assert response.status_code == 200
    return " ".join(strip_tags(response.content.decode()).split())


def snapshot_of(client: Client, query: str = "") -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"{ROOT}data.json{query}").json()
    return found


def see_no_product(_user: object) -> list[str]:
    return []


def steps_of(ready: list[int], *, done: int) -> None:
    """Write rollups as the sampler does, one for each ten seconds until now."""
    # A measurement of before may have a row of one of these steps, when a step has begun since.
    QueueRollup.objects.all().delete()
    last = int(time.time() // 10) * 10
    QueueRollup.objects.bulk_create(
        QueueRollup(
            job_model="pleme_redis_django.job",
            step_seconds=10,
            started_at=last - 10 * (len(ready) - position),
            product=product,
            queue_name=queue,
            completed=done,
            ready=depth,
        )
        for position, depth in enumerate(ready)
        for product, queue in (("shop", "grow"), ("shop", ""), ("", ""))
    )


# No worker


def test_without_a_worker_nothing_is_well_at_once(admin_client: Client) -> None:
    """The last one was stopped a moment ago, and nothing waited then."""
    worker = make_worker()
    measure_now()
    assert "All is well" in text_of(admin_client)
    worker.delete()
    for _ in range(3):
        make_job()
    page = text_of(admin_client)
    assert "All is well" not in page
    assert "no worker process is running" in page
    assert snapshot_of(admin_client)["health"]["level"] == "critical"


def test_figures_of_before_the_workers_stopped_are_told_as_old(admin_client: Client) -> None:
    measure_now()
    QueueSample.objects.update(measured_at=ago(130), next_measure_at=ago(120))
    page = admin_client.get(ROOT).content.decode()
    assert page.count("data-old data-measured") == 2, "the totals and the queues"
    assert "2 m 10 s ago" in strip_tags(page) or "2 m 11 s ago" in strip_tags(page)
    assert snapshot_of(admin_client)["is_old"]
    steps_of([100, 100], done=100)
    make_job(product="shop", queue_name="grow")
    measure_now()
    assert snapshot_of(admin_client)["queues"][0]["clears_in_seconds"] is not None
    QueueSample.objects.update(measured_at=ago(130), next_measure_at=ago(120))
    assert snapshot_of(admin_client)["queues"][0]["clears_in_seconds"] is None, "nothing is foretold"
    for address in ("queue/", "queue/shop/emails/"):
        assert "data-old data-measured" in admin_client.get(ROOT + address).content.decode()
        assert "These figures are from" in text_of(admin_client, address)


def test_an_empty_list_of_workers_does_not_say_that_there_has_never_been_one(admin_client: Client) -> None:
    for page in ("", "worker/"):
        assert "No worker process is running. Start one" in text_of(admin_client, page)


def test_before_the_first_measurement_no_page_says_that_no_job_was_ever_enqueued(
    admin_client: Client,
) -> None:
    make_job()
    for page in ("", "queue/"):
        shown = text_of(admin_client, page)
        assert "No queue was at work in the last hour, as far as worker processes have measured." in shown
        assert "has held a job yet" not in shown


# A growing backlog


def test_a_growing_backlog_does_not_promise_to_clear(admin_client: Client) -> None:
    steps_of([100 * number for number in range(13)], done=100)
    make_jobs(1_300, product="shop", queue_name="grow", job_type="t", run_after=ago(100))
    make_worker()
    measure_now()
    page = text_of(admin_client)
    assert "grows by" in page
    assert "breaks its promise in about" in page
    assert snapshot_of(admin_client)["queues"][0]["clears_in_seconds"] is None


# Saturation


def test_saturated_sync_slots_are_not_a_third_of_all_slots(admin_client: Client) -> None:
    make_worker(slots=30, async_slots=20, running=11, async_running=1)
    for page in ("", "worker/"):
        shown = text_of(admin_client, page)
        assert "sync 10 / 10" in shown
        assert "async 1 / 20" in shown


def test_a_late_queue_says_that_its_slots_are_taken(admin_client: Client) -> None:
    make_worker(slots=5, running=5)
    make_job(run_after=ago(400))
    measure_now()
    assert "and all 5 slots of its workers are taken" in text_of(admin_client)


# An outage


def test_jobs_that_fail_are_not_well(admin_client: Client) -> None:
    make_worker()
    store_endings([ended("failed")] * 163)
    measure_now()
    page = text_of(admin_client)
    assert "163 of the 163 jobs that ended in the last ten minutes failed" in page
    assert "All is well" not in page


def test_more_failures_than_usual_are_not_well_and_one_failure_is_not_red(admin_client: Client) -> None:
    make_worker()
    hour = int(time.time() // 3600) * 3600
    QueueRollup.objects.create(
        job_model="pleme_redis_django.job",
        step_seconds=3600,
        started_at=hour - 7_200,
        product="shop",
        queue_name="emails",
        completed=9_980,
        failed=20,
    )
    red = 'data-card-of="is_failing" data-level'
    store_endings([ended("completed")] * 1_000 + [ended("failed")])
    measure_now()
    assert "All is well" in text_of(admin_client)
    assert red not in admin_client.get(ROOT).content.decode()
    store_endings([ended("failed")] * 40)
    measure_now()
    told = "41 of the 1,041 jobs that ended in the last ten minutes failed; usually 0.2 % do"
    assert told in text_of(admin_client)
    assert red in admin_client.get(ROOT).content.decode()


def test_a_worker_that_was_replaced_is_a_note_with_what_became_of_its_jobs(admin_client: Client) -> None:
    make_worker()
    make_worker(host="w9", running=23, heartbeat_at=ago(240), lease_until=ago(215), died_at=ago(215))
    measure_now()
    page = text_of(admin_client)
    assert "All is well" in page
    assert "its 23 jobs were taken over" in page


def test_a_thousand_late_queues_are_not_a_thousand_reasons(admin_client: Client) -> None:
    make_worker()
    Job.objects.bulk_create(
        Job(product=f"p{number % 20}", queue_name=f"q{number}", job_type="t", run_after=ago(4_000))
        for number in range(1_000)
    )
    measure_now()
    found = snapshot_of(admin_client)["health"]
    assert (len(found["reasons"]), found["reason_count"]) == (20, 1_000)
    assert "1,000 in total" in text_of(admin_client)
    page = admin_client.get(ROOT).content.decode()
    assert f'href="{ROOT}queue/p0/q0/"' in page


def test_a_pause_is_told(admin_client: Client) -> None:
    make_worker()
    pause_queue("mails", product="shop", reason="the provider is down", paused_by="ana")
    measure_now()
    assert "queue mails of shop was paused by ana" in text_of(admin_client)


def test_a_job_that_is_held_for_hours_is_told(admin_client: Client) -> None:
    worker = make_worker()
    make_job(status=JobStatus.RUNNING, worker_id=worker.pk, claimed_at=ago(31_150))
    measure_now()
    assert "is held by its worker for 8 h 39 m" in text_of(admin_client)


# An old job that failed now


def test_an_old_job_that_failed_now_is_among_the_failures(admin_client: Client) -> None:
    """Its id is older than those of more failures than are looked at."""
    make_failed_job(job_type="old.job", failed_at=ago(60))
    make_jobs(
        5_001,
        product="noisy",
        job_type="new.job",
        status=JobStatus.FAILED,
        error_fingerprint="new",
        failed_at=ago(3_000),
    )
    assert "old.job" in text_of(admin_client)
    assert "old.job" in text_of(admin_client, "?product=default")


def test_a_cap_of_failures_is_told_where_it_bites_and_nowhere_else(admin_client: Client) -> None:
    told = "Only the jobs that failed last are counted"
    make_jobs(5_001, product="shop", job_type="t", status=JobStatus.FAILED, failed_at=ago(7_200))
    make_failed_job()
    assert told in text_of(admin_client)
    assert told not in text_of(admin_client, "error/?span=1h")


def test_not_all_causes_are_shown_and_that_is_told(admin_client: Client) -> None:
    for number in range(12):
        make_failed_job(error_fingerprint=f"f{number}")
    assert "10 of 12 causes" in text_of(admin_client)
    assert "causes, those" not in text_of(admin_client, "error/")


def test_an_error_page_without_errors_names_the_span(admin_client: Client) -> None:
    assert "Nothing has failed in the last 3 hours." in text_of(admin_client, "error/?span=3h")


def test_a_product_that_failed_yesterday_and_was_idle_since_can_be_chosen(admin_client: Client) -> None:
    make_failed_job(product="idle", failed_at=ago(90_000))
    make_job(product="shop")
    measure_now()
    assert admin_client.get(f"{ROOT}error/?span=7d").context["products"] == ["idle", "shop"]
    assert admin_client.get(f"{ROOT}error/?span=1h").context["products"] == ["shop"]


@pytest.mark.parametrize("page", ["", "queue/", "error/"])
def test_a_page_of_one_product_never_says_that_it_is_one_of_all(admin_client: Client, page: str) -> None:
    shown = admin_client.get(f"{ROOT}{page}?product=idle").content.decode()
    assert '<option value="idle" selected>idle</option>' in shown


def test_a_page_that_is_not_live_says_so_and_breaks_types_behind_their_dots(admin_client: Client) -> None:
    make_failed_job(job_type="shop.jobs.payments")
    assert re.search(r"As of \d\d:\d\d:\d\d \w+, not live", text_of(admin_client, "error/"))
    assert "not live" not in text_of(admin_client)
    page = admin_client.get(f"{ROOT}error/").content.decode()
    assert "shop.<wbr>jobs.<wbr>payments" in page


def test_a_group_leads_to_its_own_jobs(admin_client: Client) -> None:
    inside = make_failed_job(error_fingerprint="a" * 32, failed_at=ago(60))
    make_failed_job(error_fingerprint="a" * 32, failed_at=ago(9_000))
    make_failed_job(error_fingerprint="a" * 32, job_type="tests.other")
    response = admin_client.get(f"{ROOT}error/?span=1h")
    [group] = [each for each in response.context["failures"] if each.job_type == inside.job_type]
    assert group.count == 1
    links = [part.split('"')[0] for part in response.content.decode().split('href="')]
    [link] = [each for each in links if "error%3A" in each and f"type={inside.job_type}" in each]
    listed = admin_client.get(unquote(link).replace("&amp;", "&")).context["cl"].result_list
    assert [job.pk for job in listed] == [inside.pk]


# A queue with nothing to show


def test_a_queue_that_nothing_was_ever_in_is_asked_about(admin_client: Client) -> None:
    store_endings([ended("completed", queue="emails")])
    measure_now()
    misspelt = text_of(admin_client, "queue/shop/emials/")
    assert "No measurement of the last week has found a job in a queue of this name." in misspelt
    assert "No queue was at work" not in misspelt


def test_an_idle_queue_says_that_it_is_idle(admin_client: Client) -> None:
    QueueRollup.objects.create(
        job_model="pleme_redis_django.job",
        step_seconds=3600,
        started_at=int(time.time() // 3600) * 3600 - 7_200,
        product="shop",
        queue_name="emails",
        completed=1,
    )
    measure_now()
    assert "No job waits or runs in this queue" in text_of(admin_client, "queue/shop/emails/")


# Another table, other people


@override_settings(
    ROOT_URLCONF="tests.admin.email_operations_site",
    PLEME_REDIS={"POOLS": {"default": {}, "email": {"model": "workload.EmailJob", "queues": ["*"]}}},
)
def test_the_dashboard_of_an_own_job_model_shows_no_other_table(admin_client: Client) -> None:
    make_worker(host="of-the-jobs")
    make_worker(host="of-the-emails", pool="email")
    make_job(model=EmailJob)
    response = admin_client.get("/ops/pleme_redis_django/dashboard/")
    page = response.content.decode()
    assert "of-the-emails" in page
    assert "of-the-jobs" not in page
    # The socket sends the snapshots of ``Job``.
    assert response.context["live"]["websocketPath"] == ""
    workers = admin_client.get("/ops/pleme_redis_django/dashboard/worker/").content.decode()
    assert ("of-the-emails" in workers, "of-the-jobs" in workers) == (True, False)
    WorkerProcess.objects.filter(pool="email").delete()
    health = admin_client.get("/ops/pleme_redis_django/dashboard/data.json").json()["health"]
    assert health["level"] == "critical"


def test_the_dashboard_of_jobs_has_a_socket(admin_client: Client) -> None:
    assert admin_client.get(ROOT).context["live"]["websocketPath"] == "/ws/pleme/dashboard/"


@pytest.mark.parametrize("page", ["", "queue/", "worker/"])
def test_who_sees_no_product_reads_nothing_of_what_all_share(
    page: str, staff: StaffLogin, settings: Any
) -> None:
    settings.PLEME_REDIS = settings.PLEME_REDIS | {"DASHBOARD_PRODUCTS": f"{__name__}.see_no_product"}
    make_worker(host="shared-host")
    pause_queue("mails", reason="a secret reason", paused_by="ana")
    measure_now()
    client = staff("view_job")
    shown = client.get(ROOT + page).content.decode()
    assert "shared-host" not in shown
    assert "a secret reason" not in shown
