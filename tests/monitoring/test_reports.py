"""Monitoring queries, each against rows whose numbers are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from pleme_redis_django import monitoring
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.monitoring import JobScope
from tests.rows import BACKENDS, ago, make_failed_job, make_job, make_worker

pytestmark = [
    pytest.mark.django_db(databases=["default", "sqlite"]),
    pytest.mark.parametrize("using", BACKENDS),
]


def some_jobs(using: str) -> None:
    """Two products, three queues, every status."""
    make_job(using, queue_name="email", run_after=ago(120))
    make_job(using, queue_name="email", run_after=ago(30))
    make_job(using, queue_name="email", status=JobStatus.COMPLETED, retry_count=2)
    make_job(using, queue_name="email", status=JobStatus.COMPLETED, retry_count=1)
    make_job(using, queue_name="email", status=JobStatus.COMPLETED, deleted_at=ago(1), retry_count=9)
    make_job(using, queue_name="email", run_after=ago(9_000), deleted_at=ago(1))
    make_failed_job(using, queue_name="images")
    make_job(using, queue_name="images", status=JobStatus.PENDING, run_after=ago(-600))
    make_job(using, queue_name="images", status=JobStatus.CANCELLED)
    make_job(using, product="other", queue_name="email", status=JobStatus.RUNNING)


def test_counts_by_status_leave_deleted_jobs_out(using: str) -> None:
    some_jobs(using)
    assert monitoring.counts_by_status(JobScope(using=using)) == {
        JobStatus.PENDING: 1,
        JobStatus.BLOCKED: 0,
        JobStatus.QUEUED: 2,
        JobStatus.RUNNING: 1,
        JobStatus.COMPLETED: 2,
        JobStatus.FAILED: 1,
        JobStatus.CANCELLED: 1,
    }


def test_an_empty_table_has_every_count_and_no_ages(using: str) -> None:
    scope = JobScope(using=using)
    assert monitoring.counts_by_status(scope) == dict.fromkeys(JobStatus, 0)
    assert monitoring.oldest_ready_seconds(scope) is None
    assert monitoring.average_retries(scope) is None
    assert monitoring.queue_reports(scope) == []


def test_a_scope_is_one_product_and_some_queues(using: str) -> None:
    some_jobs(using)
    ours = JobScope(using=using, product="default")
    assert monitoring.counts_by_status(ours)[JobStatus.RUNNING] == 0
    images = JobScope(using=using, queue_names=["images"])
    assert sum(monitoring.counts_by_status(images).values()) == 3
    assert monitoring.oldest_ready_seconds(images) is None


def test_the_oldest_ready_job_gives_the_age(using: str) -> None:
    some_jobs(using)
    assert monitoring.oldest_ready_seconds(JobScope(using=using)) == pytest.approx(120, abs=20)


def test_average_retries_are_those_of_completed_jobs(using: str) -> None:
    some_jobs(using)
    assert monitoring.average_retries(JobScope(using=using)) == 1.5


def test_every_queue_of_every_product_is_reported(using: str) -> None:
    some_jobs(using)
    reports = monitoring.queue_reports(JobScope(using=using))
    assert [(one.product, one.queue_name) for one in reports] == [
        ("default", "email"),
        ("default", "images"),
        ("other", "email"),
    ]
    email, images, other = reports
    assert (email.counts[JobStatus.QUEUED], email.counts[JobStatus.COMPLETED]) == (2, 2)
    assert email.oldest_ready_seconds == pytest.approx(120, abs=20)
    assert email.average_retries == 1.5
    assert (images.oldest_ready_seconds, images.average_retries) == (None, None)
    assert other.counts == dict.fromkeys(JobStatus, 0) | {JobStatus.RUNNING: 1}


def test_silent_running_jobs_are_stale(using: str) -> None:
    silent = make_job(using, status=JobStatus.RUNNING, updated_at=ago(500))
    most_silent = make_job(using, status=JobStatus.RUNNING, updated_at=ago(900))
    make_job(using, status=JobStatus.RUNNING)
    make_job(using, updated_at=ago(900))
    scope = JobScope(using=using)
    assert monitoring.count_stale_jobs(scope, threshold_seconds=300) == 2
    found = monitoring.stale_jobs(scope, threshold_seconds=300)
    assert [job.id for job in found] == [most_silent.id, silent.id]
    assert monitoring.stale_jobs(scope, threshold_seconds=300, limit=1)[0].id == most_silent.id
    assert monitoring.count_stale_jobs(scope) == 0


def test_failures_are_counted_by_error_code(using: str) -> None:
    make_failed_job(using, "timeout", failed_at=ago(300))
    latest = make_failed_job(using, "timeout", failed_at=ago(10))
    make_failed_job(using, "provider_error")
    make_failed_job(using, error_details=None)
    make_failed_job(using, "timeout", status=JobStatus.PENDING)
    reasons = monitoring.failure_reasons(JobScope(using=using))
    assert {(reason.error_code, reason.jobs) for reason in reasons} == {
        ("timeout", 2),
        ("provider_error", 1),
        ("", 1),
    }
    assert reasons[0].error_code == "timeout"
    assert reasons[0].last_failed_at == latest.failed_at
    assert len(monitoring.failure_reasons(JobScope(using=using), limit=1)) == 1


def test_ready_jobs_of_unknown_types_are_found(using: str) -> None:
    make_job(using, job_type="shop.known")
    make_job(using, job_type="shop.gone", run_after=ago(60))
    make_job(using, job_type="shop.gone", run_after=ago(30))
    make_job(using, job_type="shop.gone", status=JobStatus.COMPLETED)
    (unserved,) = monitoring.unserved_types({"shop.known"}, JobScope(using=using))
    assert (unserved.job_type, unserved.jobs) == ("shop.gone", 2)
    assert unserved.oldest_seconds == pytest.approx(60, abs=20)


def test_a_worker_is_alive_while_its_lease_lasts(using: str) -> None:
    make_worker(using, pool="a", heartbeat_at=ago(1), lease_until=ago(-24))
    make_worker(using, pool="b", heartbeat_at=ago(100), lease_until=ago(75))
    make_worker(using, pool="c", heartbeat_at=ago(100), lease_until=ago(-900))
    make_worker(using, pool="d", died_at=ago(1))
    reports = monitoring.worker_reports(using=using)
    assert [(one.worker.pool, one.is_alive) for one in reports] == [
        ("a", True),
        ("b", False),
        ("c", True),
        ("d", False),
    ]
    assert reports[1].silent_seconds == pytest.approx(100, abs=20)


QUERIES: list[Callable[[str], Any]] = [
    lambda using: monitoring.counts_by_status(JobScope(using=using)),
    lambda using: monitoring.queue_reports(JobScope(using=using)),
    lambda using: monitoring.oldest_ready_seconds(JobScope(using=using)),
    lambda using: monitoring.average_retries(JobScope(using=using)),
    lambda using: monitoring.count_stale_jobs(JobScope(using=using)),
    lambda using: monitoring.stale_jobs(JobScope(using=using)),
    lambda using: monitoring.failure_reasons(JobScope(using=using)),
    lambda using: monitoring.unserved_types({"shop.known"}, JobScope(using=using)),
    lambda using: monitoring.worker_reports(using=using),
]


@pytest.mark.parametrize("query", QUERIES)
def test_each_function_is_one_query(using: str, query: Callable[[str], Any]) -> None:
    for _ in range(3):
        some_jobs(using)
        make_worker(using)
    with CaptureQueriesContext(connections[using]) as queries:
        query(using)
    assert len(queries) == 1


@pytest.mark.django_db(databases=["default", "sqlite"], transaction=True)
async def test_async_twins_return_the_same(using: str) -> None:
    scope = JobScope(using=using)
    assert await monitoring.acounts_by_status(scope) == dict.fromkeys(JobStatus, 0)
    assert await monitoring.aqueue_reports(scope) == []
    assert await monitoring.aoldest_ready_seconds(scope) is None
    assert await monitoring.aaverage_retries(scope) is None
    assert await monitoring.acount_stale_jobs(scope) == 0
    assert await monitoring.astale_jobs(scope) == []
    assert await monitoring.afailure_reasons(scope) == []
    assert await monitoring.aunserved_types([], scope) == []
    assert await monitoring.aworker_reports(using=using) == []
