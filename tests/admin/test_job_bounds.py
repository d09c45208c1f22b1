"""What the page of a job says of its bounds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from pleme_redis_django.jobs.interface.job import JobStatus
from tests.admin.test_job_page import page_of
from tests.rows import ago, make_job

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"timeout_seconds": 90}, "1 m 30 s for each attempt"),
        ({"expires_at": timezone.now() + timedelta(days=400)}, "expires in 39"),
        ({"expires_at": ago(5)}, "is over"),
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
