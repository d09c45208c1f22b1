"""Limits of tasks: what @job can declare of how many run at once, how often they start, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django.models import Job
from pleme_redis_django.tasks_backend.api import TaskResultStatus, task_backends
from pleme_redis_django.testing import drain_jobs
from tests.rows import make_job
from tests.tasks_backend import limited_tasks
from tests.workload import tasks

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    limited_tasks.ran.clear()


def status_of(result: Any) -> Any:
    result.refresh()
    return result.status


def test_tasks_of_one_key_run_one_at_a_time() -> None:
    results = [limited_tasks.of_customer.enqueue("a", number=number) for number in range(3)]
    assert set(Job.objects.values_list("concurrency_key", flat=True)) == {"buyer:a"}
    drain_jobs()
    assert [task_backends["default"].get_result(result.id).return_value for result in results] == [1, 1, 1]
    assert limited_tasks.ran == [("a", 0), ("a", 1), ("a", 2)]


def test_tasks_of_an_order_wait_for_their_turns_and_are_ready_meanwhile() -> None:
    results = [limited_tasks.in_order.enqueue("17", number, -number) for number in range(3)]
    jobs = Job.objects.order_by("id")
    assert list(jobs.values_list("order_key", "status")) == [("order:17", "BLOCKED")] * 3
    for result in results:
        result.refresh()
        assert result.status == TaskResultStatus.READY
    drain_jobs()
    assert limited_tasks.ran == [("17", number, -number) for number in range(3)]


def test_a_task_that_waits_for_a_place_is_ready_meanwhile() -> None:
    holder = make_job(status="RUNNING", product="default", concurrency_key="buyer:a")
    result = limited_tasks.of_customer.enqueue("a", number=1)
    assert len(drain_jobs()) == 0
    assert Job.objects.get(pk=result.id).blocked_on == "k:default:buyer:a"
    assert result.status == status_of(result) == TaskResultStatus.READY
    assert result.started_at is None
    Job.objects.filter(pk=holder.pk).delete()
    assert len(drain_jobs().completed) == 1
    assert status_of(result) == TaskResultStatus.SUCCESSFUL


def test_more_tasks_than_a_rate_allows_wait_and_are_ready_meanwhile() -> None:
    results = [limited_tasks.by_rate.enqueue() for _ in range(3)]
    drain_jobs()
    assert limited_tasks.ran == ["by rate"] * 2
    assert Job.objects.get(status="BLOCKED").blocked_on.startswith("r:k:")
    done, ready = TaskResultStatus.SUCCESSFUL, TaskResultStatus.READY
    assert [status_of(result) for result in results] == [done, done, ready]


def test_using_names_the_keys_of_a_task() -> None:
    tasks.add.using(concurrency_key="customer:b", order_key="order:1").enqueue(1)
    tasks.add.using(order_key="order:1").enqueue(2)
    keys = Job.objects.order_by("id").values_list("concurrency_key", "order_key")
    assert list(keys) == [("customer:b", "order:1"), (None, "order:1")]
    assert len(drain_jobs().completed) == 2
