"""An operation on all matching jobs: its preview, its batches, with a script and without."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from pleme_redis_django.admin.bulk import batches as bulk_batches
from pleme_redis_django.admin.bulk import views as bulk_views
from pleme_redis_django.admin.search import window as search_window
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import Job
from tests.admin.bulk.conftest import ALL, JSON, ask, run_to_the_end, words
from tests.admin.conftest import LIST
from tests.rows import make_failed_job, make_job

pytestmark = pytest.mark.django_db(databases=["default", "sqlite"])


def test_the_preview_counts_what_changes_and_what_is_left(admin_client: Client) -> None:
    for status in (
        JobStatus.FAILED,
        JobStatus.FAILED,
        JobStatus.CANCELLED,
        JobStatus.COMPLETED,
        JobStatus.RUNNING,
    ):
        make_job(status=status, queue_name="a")
    make_failed_job(queue_name="b")
    page = words(ask(admin_client, "retry", "?queue=a"))
    assert "Retry 3 jobs?" in page
    assert "1 running, 1 completed. Only failed and cancelled jobs can be retried." in page
    assert f'action="{LIST}bulk/retry/?queue=a"' in page
    assert set(Job.objects.values_list("status", flat=True)) > {JobStatus.FAILED}, "nothing is done yet"


def test_the_preview_shows_some_of_them(admin_client: Client) -> None:
    for number in range(12):
        make_failed_job(job_type=f"type-{number:02}")
    make_job(job_type="completed", status=JobStatus.COMPLETED)
    page = words(ask(admin_client, "retry"))
    assert "The newest 10 of them" in page
    assert "type-11" in page
    assert "type-01" not in page
    assert "<td><bdi>completed" not in page


def test_nothing_to_do_is_said_and_not_asked(admin_client: Client) -> None:
    make_job(status=JobStatus.RUNNING)
    page = words(ask(admin_client, "retry"))
    assert "Retry: nothing to do" in page
    assert "1 running. Only failed and cancelled jobs can be retried." in page
    assert 'id="pleme-bulk"' not in page


def test_the_count_stops_at_a_limit(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_batches, "COUNTED_JOBS", 5)
    monkeypatch.setattr(bulk_views, "COUNTED_JOBS", 5)
    for _ in range(8):
        make_failed_job()
    page = words(ask(admin_client, "retry"))
    assert "Retry 5+ jobs?" in page
    assert "Only failed and cancelled jobs can be retried." in page


@pytest.mark.usefixtures("small_batches")
def test_batches_change_all_that_match_and_nothing_else(admin_client: Client) -> None:
    jobs = [make_failed_job(queue_name="a") for _ in range(25)]
    running = make_job(status=JobStatus.RUNNING, queue_name="a")
    other = make_failed_job(queue_name="b")
    answers = run_to_the_end(admin_client, "retry", "?queue=a")
    assert [answer["changed"] for answer in answers] == [10, 10, 5]
    assert set(
        Job.objects.filter(queue_name="a").exclude(pk=running.pk).values_list("status", flat=True)
    ) == {"QUEUED"}
    other.refresh_from_db()
    assert other.status == JobStatus.FAILED
    assert set(LogEntry.objects.values_list("object_id", flat=True)) == {str(job.pk) for job in jobs}


@pytest.mark.usefixtures("small_batches")
def test_what_is_enqueued_after_the_preview_is_not_touched(admin_client: Client) -> None:
    for _ in range(12):
        make_job()
    last_id = str(ask(admin_client, "cancel").context["last_id"])
    later = make_job()
    run_to_the_end(admin_client, "cancel", last_id=last_id)
    assert list(Job.objects.filter(status=JobStatus.QUEUED)) == [later]


@pytest.mark.usefixtures("small_batches")
def test_a_job_that_fails_again_at_once_is_not_met_twice(admin_client: Client) -> None:
    for _ in range(15):
        make_failed_job()
    data = dict(ALL)
    for expected in (10, 5):
        answer = admin_client.post(f"{LIST}bulk/retry/", data, headers=JSON).json()
        assert answer["changed"] == expected
        Job.objects.update(status=JobStatus.FAILED)
        data["cursor"] = answer["cursor"]
    assert answer["is_last"]


@pytest.mark.usefixtures("small_batches")
def test_a_value_is_given_to_every_job(admin_client: Client) -> None:
    for _ in range(15):
        make_job()
    run_to_the_end(admin_client, "change_priority", priority="42")
    assert set(Job.objects.values_list("priority", flat=True)) == {42}
    assert set(LogEntry.objects.values_list("change_message", flat=True)) == {"Given priority 42."}


@pytest.mark.usefixtures("small_batches")
def test_without_a_script_a_post_does_some_and_says_how_many_are_left(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_views, "NO_SCRIPT_BATCHES", 2)
    for _ in range(35):
        make_job()
    page = admin_client.post(f"{LIST}bulk/change_priority/", {**ALL, "priority": "5"})
    assert "Change priority: 20 done so far." in words(page)
    assert "Change priority of 15 jobs?" in words(page)
    carried = {name: page.context[name] for name in ("cursor", "last_id")}
    data = {**ALL, **carried, "changed": page.context["done"].changed, "priority": "5"}
    done = admin_client.post(f"{LIST}bulk/change_priority/", data, follow=True)
    assert "Given priority 5: 35." in words(done)
    assert LogEntry.objects.count() == 35


@pytest.mark.usefixtures("small_batches")
def test_the_preview_says_how_far_back_the_list_has_looked(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_failed_job(product="acme")
    told = "Looked through the newest 5 jobs, back to"
    assert told not in words(ask(admin_client, "delete", "?product=acme"))
    monkeypatch.setattr(search_window, "WINDOW_JOBS", 5)
    for _ in range(6):
        make_failed_job(product="acme")
    page = words(ask(admin_client, "delete", "?product=acme"))
    assert "Delete 5 jobs?" in page
    assert told in page
    assert "Older jobs are not changed." in page


def test_the_pages_make_the_same_queries_for_3_jobs_and_for_90(admin_client: Client) -> None:
    def queries() -> tuple[int, int]:
        with CaptureQueriesContext(connection) as asked:
            ask(admin_client, "change_priority", "?queue=default")
        with CaptureQueriesContext(connection) as run:
            data = {**ALL, "priority": "1"}
            admin_client.post(f"{LIST}bulk/change_priority/?queue=default", data, headers=JSON)
        return len(asked), len(run)

    for _ in range(3):
        make_job()
    queries()  # content types are asked for once in a process
    few = queries()
    for _ in range(87):
        make_job()
    assert queries() == few
    assert max(few) <= 25


def test_a_row_that_somebody_else_holds_is_left_alone(admin_client: Client) -> None:
    """SKIP LOCKED, so that a batch never waits for a worker and cannot be in a deadlock with one."""
    make_failed_job()
    with CaptureQueriesContext(connection) as captured:
        run_to_the_end(admin_client, "retry")
    [locking] = [query["sql"] for query in captured if "SKIP LOCKED" in query["sql"]]
    assert "SKIP LOCKED" in locking
    assert "LIMIT" in locking
