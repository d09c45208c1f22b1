"""What an operator asks of live workers: pause and resume, with Redis and without."""

from __future__ import annotations

import pytest

from pleme_redis_django import Job
from pleme_redis_django.operations import pause_queue, resume_queue
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for
from tests.worker_processes import WorkerProcesses
from tests.workload.jobs import noop

pytestmark = pytest.mark.process

# A scan of its own would come too late for any of these tests.
RARELY = {"poll_timeout": 600, "lease_sweep_seconds": 5, "stale_check_interval_seconds": 600}
WITH_AND_WITHOUT_REDIS = pytest.mark.parametrize(
    "settings", [{}, {"url": None}], ids=["with Redis", "without Redis"]
)


def wait_for_status(job: Job, status: str, workers: WorkerProcesses) -> Job:
    wait_for(lambda: Job.objects.get(pk=job.pk).status == status, f"{status}", details=workers.output)
    return Job.objects.get(pk=job.pk)


@WITH_AND_WITHOUT_REDIS
def test_a_paused_queue_waits_and_goes_on_where_it_stopped(
    start_workers: StartWorkers, settings: dict[str, None]
) -> None:
    workers = start_workers(pool=RARELY, **settings)
    wait_for_status(noop.enqueue(), "COMPLETED", workers)
    pause_queue("default")
    waiting = noop.enqueue()
    # Behind the one that waits: when this has ended, the worker has passed the other by.
    wait_for_status(noop.using(queue_name="other").enqueue(), "COMPLETED", workers)
    waiting.refresh_from_db()
    assert (waiting.status, waiting.attempt) == ("QUEUED", 0)
    resume_queue("default")
    wait_for_status(waiting, "COMPLETED", workers)


@WITH_AND_WITHOUT_REDIS
def test_a_worker_that_starts_during_a_pause_notices_its_end(
    start_workers: StartWorkers, settings: dict[str, None]
) -> None:
    pause_queue("default")
    waiting = noop.enqueue()
    workers = start_workers(pool=RARELY, **settings)
    wait_for_status(noop.using(queue_name="other").enqueue(), "COMPLETED", workers)
    waiting.refresh_from_db()
    assert waiting.status == "QUEUED"
    resume_queue("default")
    wait_for_status(waiting, "COMPLETED", workers)


def test_burst_ends_beside_a_paused_queue(start_workers: StartWorkers) -> None:
    pause_queue("default")
    waiting, other = noop.enqueue(), noop.using(queue_name="other").enqueue()
    assert start_workers("--burst").exit_code() == 0
    waiting.refresh_from_db()
    other.refresh_from_db()
    assert (waiting.status, other.status) == ("QUEUED", "COMPLETED")
