"""What the page of a job says of its bounds, and until when a finished one is kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from pleme_redis_django.admin.job_facts import retention_facts
from pleme_redis_django.jobs.interface.job import JobStatus
from tests.admin.test_job_page import page_of
from tests.orm_store.test_retention import ended
from tests.rows import ago, make_job

pytestmark = pytest.mark.django_db

AT_A_LIMIT = {"status": "BLOCKED", "blocked_on": "k:default:stripe"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"timeout_seconds": 90}, "1 m 30 s for each attempt"),
        ({"expires_at": timezone.now() + timedelta(days=400)}, "expires in 39"),
        ({"expires_at": ago(5)}, "is over"),
        ({"expires_at": timezone.now() + timedelta(days=400), **AT_A_LIMIT}, "expires in 39"),
        ({"snoozes": 3}, "3 times"),
        ({"configuration": {"isolated": True}}, "runs in a process of its own"),
    ],
)
def test_bounds_stand_on_the_page(admin_client: Client, fields: dict[str, Any], words: str) -> None:
    assert words in page_of(admin_client, make_job(**fields))


def test_a_job_that_is_put_off_says_until_when(admin_client: Client) -> None:
    due = timezone.now() + timedelta(days=2)
    fields = {
        "snoozes": 3,
        "status": JobStatus.PENDING,
        "run_after": due,
        "claimed_at": ago(9),
        "updated_at": ago(5),
    }
    assert f"3 times, now until {timezone.localtime(due):%Y-%m-%d %H:%M:%S}" in page_of(
        admin_client, make_job(**fields)
    )


def test_a_running_job_says_when_it_times_out(admin_client: Client) -> None:
    job = make_job(status=JobStatus.RUNNING, started_at=ago(10), timeout_seconds=100_000)
    assert "times out at " in page_of(admin_client, job)


def test_a_job_without_bounds_says_nothing_of_them(admin_client: Client) -> None:
    page = page_of(admin_client, make_job())
    assert "for each attempt" not in page and "Deadline" not in page


def told(job: Any) -> list[str]:
    return [str(value) for _name, value, _is_long in retention_facts(job)]


def test_the_page_says_in_how_long_the_row_may_be_deleted(admin_client: Client) -> None:
    job = ended(JobStatus.COMPLETED, 2.1)
    page = admin_client.get(f"/admin/pleme_redis_django/job/{job.pk}/change/").content.decode()
    assert "Kept until" in page and ">in 4 d " in page


def test_other_times_are_those_of_the_queue_and_for_ever_is_said(settings: Any) -> None:
    retention = {"FAILED": None, "QUEUES": {"mail": {"COMPLETED": timedelta(days=20)}}}
    settings.PLEME_REDIS = settings.PLEME_REDIS | {"RETENTION": retention}
    assert ">in 17 d " in told(ended(JobStatus.COMPLETED, 2.1, queue_name="mail"))[0]
    assert told(ended(JobStatus.FAILED, 2)) == ["for ever"]


def test_a_job_that_is_due_says_so_and_one_that_has_not_ended_says_nothing() -> None:
    assert told(ended(JobStatus.COMPLETED, 8)) == ["its time is over"]
    assert told(make_job()) == []
