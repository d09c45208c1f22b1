"""Tasks of django.tasks run by real worker processes, and read in the process that enqueued them."""

from __future__ import annotations

import pytest

from pleme_redis_django.models import Job
from pleme_redis_django.tasks_backend.api import TaskResultStatus
from pleme_redis_django.testing.tasks_contract import tasks as contract
from tests.integration.conftest import StartWorkers, start_workers
from tests.waiting import wait_for
from tests.workload import tasks

__all__ = ["start_workers"]

pytestmark = pytest.mark.process


def test_worker_processes_run_tasks(start_workers: StartWorkers) -> None:
    results = {
        "sync": contract.add.enqueue(20, right=22),
        "async": contract.add_slowly.enqueue(20, 22),
        "arguments": contract.echo.enqueue(1, [2], word="a"),
        "context": contract.describe.enqueue("hello"),
        "failed": contract.fail.enqueue("the message"),
        "retried": tasks.flaky.enqueue(good_from=3),
        "cancelled": tasks.give_up.enqueue(),
        "queue": contract.add.using(queue_name="mail").enqueue(1),
    }
    workers = start_workers("--processes", "2")
    wait_for(
        lambda: (
            not Job.objects.filter(completed_at=None, status__in=["QUEUED", "PENDING", "RUNNING"]).exists()
        ),
        "the end of every task",
        details=workers.output,
    )
    for result in results.values():
        result.refresh()
    values = {
        name: result.return_value for name, result in results.items() if name not in ("failed", "cancelled")
    }
    assert values == {
        "sync": 42,
        "async": 42,
        "arguments": {"args": [1, [2]], "kwargs": {"word": "a"}},
        "context": {"id": results["context"].id, "status": "RUNNING", "attempt": 1, "word": "hello"},
        "retried": 3,
        "queue": 2,
    }
    failed, retried = results["failed"], results["retried"]
    assert failed.status == results["cancelled"].status == TaskResultStatus.FAILED
    assert failed.errors[-1].exception_class is ValueError
    assert "the message" in failed.errors[-1].traceback
    assert (retried.attempts, len(retried.errors)) == (3, 2)
    assert all(result.worker_ids and all(result.worker_ids) for result in results.values())
