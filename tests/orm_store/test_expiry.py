"""Expiry: what has waited past its deadline ends CANCELLED; what runs, or may still start, does not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from pleme_redis_django.models import Job, JobStatus
from pleme_redis_django.orm_store.dialects.dialect import dialect_of
from pleme_redis_django.orm_store.expiry import end_expired_jobs, expired
from pleme_redis_django.orm_store.job_table import JobTable
from tests.database_sessions import TABLE, another_session
from tests.rows import BACKENDS, ago, make_job

each_database = pytest.mark.parametrize("using", BACKENDS)
rolled_back = pytest.mark.django_db(databases=BACKENDS)


def ended(using: str, limit: int) -> int:
    table = JobTable(Job, using)
    return end_expired_jobs(dialect_of(table), table, limit)


def statuses(using: str) -> dict[str, str]:
    return dict(Job._base_manager.using(using).values_list("job_type", "status"))


@rolled_back
@each_database
def test_only_what_waits_past_its_deadline_ends(using: str) -> None:
    over: Any = {"expires_at": ago(5)}
    make_job(using, job_type="queued", **over)
    make_job(
        using, job_type="for a retry", status=JobStatus.PENDING, run_after=Now() + timedelta(hours=1), **over
    )
    make_job(using, job_type="at a gate", status=JobStatus.BLOCKED, **over)
    make_job(using, job_type="running", status=JobStatus.RUNNING, **over)
    make_job(using, job_type="deleted", deleted_at=Now(), **over)
    make_job(using, job_type="later", expires_at=Now() + timedelta(hours=1))
    make_job(using, job_type="never")
    assert ended(using, 10) == 3
    assert {kind for kind, status in statuses(using).items() if status == "CANCELLED"} == {
        "queued",
        "for a retry",
        "at a gate",
    }
    assert ended(using, 10) == 0


@rolled_back
@each_database
def test_the_end_says_why_and_frees_the_slot(using: str) -> None:
    job = make_job(using, expires_at=ago(5), unique_slot="while_waiting:a")
    ended(using, 10)
    job.refresh_from_db()
    assert job.error_details["error_code"] == "expired"
    assert "deadline" in job.error_message and job.failed_at is not None
    assert not job.unique_slot


@rolled_back
@each_database
def test_one_that_expires_at_a_gate_gives_its_turn_to_the_next_of_its_line(using: str) -> None:
    line: Any = {"status": JobStatus.BLOCKED, "product": "acme", "order_key": "order:7"}
    head = make_job(using, blocked_on="k:acme:stripe", expires_at=ago(5), run_after=ago(60), **line)
    following, last = (
        make_job(using, blocked_on="o:acme:order:7", run_after=ago(due), **line) for due in (50, 40)
    )
    assert ended(using, 10) == 1
    for job in (head, following, last):
        job.refresh_from_db()
    assert (head.status, head.error_details["error_code"], head.blocked_on) == ("CANCELLED", "expired", None)
    assert [following.status, last.status] == ["QUEUED", "BLOCKED"]


@rolled_back
@each_database
def test_those_that_expired_first_end_first(using: str) -> None:
    for number in (1, 3, 2):
        make_job(using, job_type=str(number), expires_at=ago(10 - number))
    assert ended(using, 2) == 2
    assert [job.job_type for job in expired(JobTable(Job, using))] == ["3"]


@pytest.mark.django_db(transaction=True)
def test_a_row_that_is_being_claimed_is_not_waited_for() -> None:
    claimed, free = (make_job(expires_at=ago(5)) for _ in range(2))
    with another_session(f"SELECT 1 FROM {TABLE} WHERE id = '{claimed.pk}' FOR UPDATE"):
        assert ended("default", 10) == 1
    free.refresh_from_db()
    claimed.refresh_from_db()
    assert (free.status, claimed.status) == ("CANCELLED", "QUEUED")
