"""The timeline of a job: its steps in their order, and what each wait was for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from pleme_redis_django.admin.timeline import timeline
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import Job

T0 = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
NOW = T0 + timedelta(minutes=10)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def job_of(status: JobStatus, **times: Any) -> Job:
    """Return a job that was created at second 0; the other times are seconds after."""
    fields = {name: at(value) if name.endswith(("_at", "_after")) else value for name, value in times.items()}
    return Job(**({"status": status, "created_at": T0, "run_after": T0} | fields))


def failed(attempt: int, seconds: float, error_code: str = "provider_error") -> Any:
    return SimpleNamespace(attempt=attempt, ended_at=at(seconds), error_code=error_code)


def steps(job: Job, attempts: Any = ()) -> list[tuple[str, str, str]]:
    return [(step.name, step.wait, step.kind) for step in timeline(job, attempts, now=NOW)]


def test_a_completed_job() -> None:
    job = job_of(JobStatus.COMPLETED, attempt=1, claimed_at=12, started_at=12.5, completed_at=137.5)
    assert steps(job) == [
        ("Created", "", "past"),
        ("Due", "", "past"),
        ("Claimed", "12 s for a worker", "past"),
        ("Started", "500 ms until the handler began", "past"),
        ("Completed", "ran for 2 m 5 s", "past"),
    ]


def test_a_scheduled_job() -> None:
    assert steps(job_of(JobStatus.PENDING, run_after=660)) == [
        ("Created", "", "past"),
        ("Due", "11 m later, as scheduled", "future"),
    ]


@pytest.mark.parametrize("status", [JobStatus.QUEUED, JobStatus.PENDING])
def test_a_job_that_is_due_and_waits(status: JobStatus) -> None:
    job = job_of(status, run_after=570)
    assert steps(job)[1:] == [
        ("Due", "9 m 30 s later, as scheduled", "past"),
        ("Waiting for a worker", "30 s so far", "now"),
    ]
    assert timeline(job, (), now=NOW)[-1].seconds == 30


def test_a_job_that_waits_at_a_limit() -> None:
    job = job_of(JobStatus.BLOCKED, run_after=570)
    assert steps(job)[-1] == ("Waiting at a limit", "30 s so far", "now")
    job = job_of(JobStatus.BLOCKED, run_after=570, blocked_on="o:acme:order:7")
    assert steps(job)[-1] == ("Waiting for its turn", "30 s so far", "now")


def test_a_job_that_failed_before_it_waits_at_a_limit_tells_so() -> None:
    job = job_of(JobStatus.BLOCKED, attempt=1, retry_count=1, failed_at=5, run_after=500)
    assert [name for name, _wait, _kind in steps(job, [failed(1, 5)])] == [
        "Created",
        "Attempt 1 failed",
        "Due",
        "Waiting at a limit",
    ]


def test_a_running_job() -> None:
    job = job_of(JobStatus.RUNNING, attempt=1, claimed_at=590, started_at=590.01)
    assert steps(job)[-1] == ("Running", "10 s so far", "now")
    job = job_of(JobStatus.RUNNING, attempt=1, claimed_at=590, started_at=590, cancel_requested_at=595)
    assert steps(job)[-2:] == [
        ("Cancel requested", "after 5.0 s", "past"),
        ("Running", "10 s so far", "now"),
    ]


def test_a_job_that_waits_for_a_retry() -> None:
    job = job_of(
        JobStatus.PENDING, attempt=1, retry_count=1, claimed_at=1, started_at=1, failed_at=5, run_after=605
    )
    assert steps(job, [failed(1, 5)]) == [
        ("Created", "", "past"),
        ("Attempt 1 failed", "5.0 s until then", "past"),
        ("Due", "10 m until the retry", "future"),
    ]


def test_a_job_that_failed_for_good_tells_its_last_attempt_from_those_before() -> None:
    job = job_of(JobStatus.FAILED, attempt=3, run_after=300, claimed_at=301, started_at=301, failed_at=310)
    assert steps(job, [failed(3, 310), failed(2, 200), failed(1, 5)])[1:] == [
        ("2 attempts failed", "3 m 20 s until then", "past"),
        ("Due", "1 m 40 s until the retry", "past"),
        ("Claimed", "1.0 s for a worker", "past"),
        ("Started", "", "past"),
        ("Failed", "ran for 9.0 s", "past"),
    ]


def test_an_attempt_whose_process_died_has_not_failed() -> None:
    job = job_of(JobStatus.QUEUED, run_after=40)
    died = [failed(2, 30, "worker_died"), failed(1, 20, "worker_died")]
    assert steps(job, died[1:])[1][0] == "Attempt 1 lost its worker process"
    assert steps(job, died)[1][0] == "2 attempts lost their worker processes"
    assert steps(job, [died[0], failed(1, 20)])[1][0] == "2 attempts failed"


def test_a_job_that_was_retried_by_hand_waits_again() -> None:
    job = job_of(JobStatus.QUEUED, attempt=1, claimed_at=1, started_at=1, failed_at=5, run_after=500)
    assert [name for name, _wait, _kind in steps(job, [failed(1, 5)])] == [
        "Created",
        "Attempt 1 failed",
        "Due",
        "Waiting for a worker",
    ]


def test_a_job_that_was_cancelled_while_it_waited_never_ran() -> None:
    job = job_of(JobStatus.CANCELLED, run_after=30, cancel_requested_at=60, failed_at=60)
    assert steps(job)[2:] == [("Cancel requested", "after 30 s", "past"), ("Cancelled", "", "past")]


def test_more_attempts_than_are_loaded_are_counted_all() -> None:
    job = job_of(JobStatus.RUNNING, attempt=40, claimed_at=500)
    newest = [failed(number, number) for number in range(39, 18, -1)]
    assert steps(job, newest)[1][0] == "39 attempts failed"


def test_clocks_that_disagree_give_no_negative_wait() -> None:
    job = job_of(JobStatus.RUNNING, attempt=1, claimed_at=700, started_at=699)
    assert all("-" not in wait for _name, wait, _kind in steps(job))
