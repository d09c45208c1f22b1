"""The page of a finished job says until when it is kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from pleme_redis_django import JobStatus
from pleme_redis_django.admin.job_retention import retention_facts
from tests.orm_store.test_retention import ended
from tests.rows import make_job

pytestmark = pytest.mark.django_db


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
