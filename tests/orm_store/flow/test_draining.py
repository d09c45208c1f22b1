"""drain_jobs() keeps orders and rates: it runs a line to its end, and leaves what waits for a token."""

from __future__ import annotations

import pytest

from pleme_redis_django.models import Job, JobStatus
from pleme_redis_django.operations import set_limit
from pleme_redis_django.testing import drain_jobs
from tests.orm_store.flow import jobs

pytestmark = pytest.mark.django_db


def numbers() -> list[int]:
    return [attempt.job.parameters["number"] for attempt in drain_jobs()]


def test_line_is_run_in_order_to_its_end() -> None:
    ordered = jobs.step.using(order_key="a")
    ordered.enqueue_many([{"number": number} for number in range(3)])
    ordered.using(priority=5).enqueue(number=9)
    assert sorted(numbers()) == [0, 1, 2, 9]
    assert not Job.objects.exclude(status=JobStatus.COMPLETED).exists()


def test_lines_of_several_keys_and_jobs_of_none() -> None:
    for number in range(4):
        jobs.step.using(order_key=f"key:{number % 2}").enqueue(number=number)
        jobs.step.enqueue(number=100 + number)
    ran = numbers()
    assert len(ran) == 8
    assert ran.index(0) < ran.index(2)
    assert ran.index(1) < ran.index(3)


def test_what_has_no_token_is_left_waiting() -> None:
    set_limit("key", "api", rate=1, per_seconds=3600.0, burst=2)
    jobs.step.using(concurrency_key="api").enqueue_many([{"number": number} for number in range(5)])
    assert numbers() == [0, 1]
    assert Job.objects.filter(status=JobStatus.BLOCKED, blocked_on="r:k:default:api").count() == 3
    assert numbers() == []
