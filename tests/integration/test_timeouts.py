"""Handlers that hang, in real worker processes on a real database: they end, and their neighbours finish."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from pleme_redis_django import Job
from pleme_redis_django.operations import cancel_jobs
from tests.hanging import HANGING_STATEMENT
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for
from tests.worker_processes import WorkerProcesses
from tests.workload.jobs import (
    await_file,
    count_jobs,
    hang,
    hang_the_loop,
    noop,
    sleep_in_the_database,
    wait_for_file,
)

pytestmark = pytest.mark.process


def ended(job: Job, workers: WorkerProcesses) -> Any:
    wait_for(
        lambda: Job.objects.filter(pk=job.pk, status__in=["COMPLETED", "FAILED", "CANCELLED"]).exists(),
        f"{job.job_type} ends",
        details=workers.output,
    )
    return Job.objects.get(pk=job.pk)


def in_status(job: Job, status: str, what: str, workers: WorkerProcesses) -> None:
    wait_for(lambda: Job.objects.get(pk=job.pk).status == status, what, details=workers.output)


def sleeping_statements() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE %s AND state = 'active' AND pid <> %s",
            [f"{HANGING_STATEMENT}%", connection.connection.info.backend_pid],
        )
        (count,) = cursor.fetchone()
    return int(count)


def test_a_statement_that_runs_at_the_timeout_is_cancelled_and_its_connection_closed(
    start_workers: StartWorkers,
) -> None:
    workers = start_workers(pool={"worker_count": 1})
    for in_a_transaction in (False, True):
        job = sleep_in_the_database.enqueue(in_a_transaction=in_a_transaction)
        assert ended(job, workers).error_details["error_code"] == "timeout"
        assert sleeping_statements() == 0
        # The next job of the same thread finds a connection of its own.
        assert ended(count_jobs.enqueue(), workers).status == "COMPLETED"
    assert "recycle" not in workers.output() and "exit code" not in workers.output()


def test_a_handler_that_hangs_ends_and_its_neighbours_finish(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    workers = start_workers(pool={"worker_count": 2})
    for replaced, how in enumerate(("spin", "sleep", "c")):
        started, gate = tmp_path / f"started {how}", tmp_path / f"gate {how}"
        neighbour = wait_for_file.enqueue(started=str(started), path=str(gate))
        wait_for(started.exists, "the neighbour starts", details=workers.output)
        failed = ended(hang.enqueue(how=how), workers)
        assert (failed.status, failed.error_details["error_code"]) == ("FAILED", "timeout")
        gate.touch()
        neighbour = ended(neighbour, workers)
        assert (neighbour.status, neighbour.attempt) == ("COMPLETED", 1)
        # Where the thread is lost, the process ended once the neighbour had, and another one works.
        workers.wait_for_output("that was replaced has ended", times=replaced)
        assert ended(noop.enqueue(), workers).status == "COMPLETED"
        assert workers.output().count("that was replaced has ended") == replaced


def test_an_async_handler_that_blocks_its_loop_costs_its_process_and_no_neighbour(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    workers = start_workers(pool={"worker_count": 1, "async_count": 2})
    for turn, how in enumerate(("spin", "sleep"), start=1):
        started, async_started, gate, async_gate = (tmp_path / f"{how} {name}" for name in "abcd")
        neighbour = wait_for_file.enqueue(started=str(started), path=str(gate))
        async_neighbour = await_file.enqueue(started=str(async_started), path=str(async_gate))
        wait_for(started.exists, "the neighbour starts", details=workers.output)
        wait_for(async_started.exists, "the async one starts", details=workers.output)
        failed = ended(hang_the_loop.enqueue(how=how), workers)
        assert (failed.status, failed.error_details["error_code"]) == ("FAILED", "timeout")
        async_gate.touch()  # Nobody in the blocked loop sees it.
        in_status(async_neighbour, "QUEUED", "the async neighbour is given back", workers)
        gate.touch()
        neighbour = ended(neighbour, workers)
        assert (neighbour.status, neighbour.attempt) == ("COMPLETED", 1)
        workers.wait_for_output("that was replaced has ended", times=turn)
        async_neighbour = ended(async_neighbour, workers)
        assert (async_neighbour.status, async_neighbour.attempt) == ("COMPLETED", 2)
        assert (async_neighbour.crash_count, async_neighbour.retry_count) == (0, 0)


def test_a_cancel_ends_a_sync_handler_that_computes(start_workers: StartWorkers) -> None:
    workers = start_workers()
    job = hang.using(timeout=600).enqueue(how="spin")
    wait_for(lambda: Job.objects.get(pk=job.pk).status == "RUNNING", "it runs", details=workers.output)
    cancel_jobs(Job.objects.filter(pk=job.pk))
    cancelled = ended(job, workers)
    assert (cancelled.status, cancelled.error_message) == ("CANCELLED", "The job was cancelled while it ran.")
