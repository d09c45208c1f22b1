"""What an operator asks of live workers, with Redis and without: pause, resume, cancel, drain."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from pleme_redis_django import Job
from pleme_redis_django.models import JobAttempt, WorkerProcess
from pleme_redis_django.operations import (
    CancelResult,
    cancel_jobs,
    drain_worker,
    pause_queue,
    resume_queue,
)
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for
from tests.worker_processes import WorkerProcesses
from tests.workload.jobs import await_for_ever, noop, run_until_cancelled, wait_for_file

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


def wait_for_start(started: Path, workers: WorkerProcesses) -> None:
    wait_for(started.exists, "the handler starts", details=workers.output)


@pytest.mark.parametrize("handler", [run_until_cancelled, await_for_ever])
@WITH_AND_WITHOUT_REDIS
def test_a_running_job_is_cancelled(
    start_workers: StartWorkers, tmp_path: Path, settings: dict[str, None], handler: Any
) -> None:
    # With Redis the sweep would come too late; without, it is what notices.
    sweep_seconds = 0.5 if settings else 600
    workers = start_workers(pool=RARELY | {"lease_sweep_seconds": sweep_seconds}, **settings)
    job = handler.enqueue(str(tmp_path / "started"))
    wait_for_start(tmp_path / "started", workers)
    assert cancel_jobs(Job.objects.filter(pk=job.pk)) == CancelResult(ended=0, requested=1)
    row = wait_for_status(job, "CANCELLED", workers)
    assert (row.attempt, row.retry_count, row.error_details["error_code"]) == (1, 0, "cancelled")
    assert row.started_at is not None and row.failed_at is not None
    [attempt] = JobAttempt.objects.filter(job_id=job.pk)
    assert (attempt.attempt, attempt.error_code) == (1, "cancelled")
    # The row says it before the log does.
    workers.wait_for_output("job cancelled")


def test_a_job_that_was_asked_to_end_is_not_run_again_after_its_worker_died(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    workers = start_workers(pool={"lease_sweep_seconds": 0.5})
    job = wait_for_file.enqueue(str(tmp_path / "started"), str(tmp_path / "never"))
    wait_for_start(tmp_path / "started", workers)
    [child] = workers.children()
    cancel_jobs(Job.objects.filter(pk=job.pk))
    os.kill(child, signal.SIGKILL)
    row = wait_for_status(job, "CANCELLED", workers)
    assert (row.attempt, row.crash_count) == (1, 0)
    [attempt] = JobAttempt.objects.filter(job_id=job.pk)
    assert attempt.error_code == "worker_died"


def test_a_job_that_was_asked_to_end_is_not_given_back_at_the_end_of_the_grace(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    workers = start_workers("--grace-seconds", "0.5", pool={"lease_sweep_seconds": 0.5})
    job = wait_for_file.enqueue(str(tmp_path / "started"), str(tmp_path / "never"))
    wait_for_start(tmp_path / "started", workers)
    cancel_jobs(Job.objects.filter(pk=job.pk))
    workers.signal(signal.SIGTERM)
    assert workers.exit_code() == 3
    assert Job.objects.get(pk=job.pk).status == "CANCELLED"


@WITH_AND_WITHOUT_REDIS
def test_a_worker_that_is_asked_to_drain_ends_its_jobs_and_is_not_replaced(
    start_workers: StartWorkers, tmp_path: Path, settings: dict[str, None]
) -> None:
    beats = (
        {"heartbeat_seconds": 0.5, "lease_seconds": 25}
        if settings
        else {"heartbeat_seconds": 600, "lease_seconds": 3600}
    )
    workers = start_workers("--grace-seconds", "0", pool=RARELY | beats, **settings)
    job = wait_for_file.enqueue(str(tmp_path / "started"), str(tmp_path / "end"))
    wait_for_start(tmp_path / "started", workers)
    worker = WorkerProcess.objects.get()
    assert drain_worker(worker.id)
    workers.wait_for_output("was asked to drain")
    later = noop.enqueue()
    # Longer than the grace period of a SIGTERM: a drain lets its jobs end, however long they take.
    (tmp_path / "end").touch()
    wait_for_status(job, "COMPLETED", workers)
    assert workers.exit_code() == 0
    assert "it is not replaced" in workers.output()
    assert Job.objects.get(pk=later.pk).status == "QUEUED"
    assert not WorkerProcess.objects.filter(pk=worker.id).exists()


def test_a_supervisor_goes_on_with_the_processes_that_were_not_asked(start_workers: StartWorkers) -> None:
    workers = start_workers("--processes", "2", pool=RARELY)
    workers.wait_for_output("worker started", times=2)
    wait_for(lambda: WorkerProcess.objects.count() == 2, "both register", details=workers.output)
    first, second = WorkerProcess.objects.order_by("id")
    assert drain_worker(first.id)
    workers.wait_for_output("it is not replaced")
    job = wait_for_status(noop.enqueue(), "COMPLETED", workers)
    assert job.worker_id == second.id
    assert len(workers.children()) == 1
    workers.signal(signal.SIGTERM)
    assert workers.exit_code() == 0


def test_a_worker_that_drains_obeys_a_sigterm(start_workers: StartWorkers, tmp_path: Path) -> None:
    workers = start_workers("--grace-seconds", "0.5", pool=RARELY)
    job = wait_for_file.enqueue(str(tmp_path / "started"), str(tmp_path / "never"))
    wait_for_start(tmp_path / "started", workers)
    drain_worker(WorkerProcess.objects.get().id)
    workers.wait_for_output("was asked to drain")
    workers.signal(signal.SIGTERM)
    assert workers.exit_code() == 3
    assert Job.objects.get(pk=job.pk).status == "QUEUED"
