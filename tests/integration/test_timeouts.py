"""Handlers that hang, in real worker processes on a real database: they end, and their neighbours finish."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from pleme_redis_django import Job
from pleme_redis_django.operations import cancel_jobs
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


def sleeping_statements() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE %s AND state = 'active' AND pid <> %s",
            ["SELECT pg_sleep(3600)%", connection.connection.info.backend_pid],
        )
        (count,) = cursor.fetchone()
    return int(count)


@pytest.mark.parametrize("in_a_transaction", [False, True], ids=["autocommit", "transaction"])
def test_a_statement_that_runs_at_the_timeout_is_cancelled_and_its_connection_closed(
    start_workers: StartWorkers, in_a_transaction: bool
) -> None:
    workers = start_workers(pool={"worker_count": 1})
    job = sleep_in_the_database.enqueue(in_a_transaction=in_a_transaction)
    assert ended(job, workers).error_details["error_code"] == "timeout"
    assert sleeping_statements() == 0
    # The next job of the same thread finds a connection of its own.
    assert ended(count_jobs.enqueue(), workers).status == "COMPLETED"
    assert "recycle" not in workers.output() and "exit code" not in workers.output()


@pytest.mark.parametrize("how", ["spin", "sleep", "c"])
def test_a_handler_that_hangs_ends_and_its_neighbours_finish(
    start_workers: StartWorkers, tmp_path: Path, how: str
) -> None:
    workers = start_workers(pool={"worker_count": 2})
    started, gate = tmp_path / "started", tmp_path / "gate"
    neighbour = wait_for_file.enqueue(started=str(started), path=str(gate))
    wait_for(started.exists, "the neighbour starts", details=workers.output)
    failed = ended(hang.enqueue(how=how), workers)
    assert (failed.status, failed.error_details["error_code"]) == ("FAILED", "timeout")
    gate.touch()
    neighbour = ended(neighbour, workers)
    assert (neighbour.status, neighbour.attempt) == ("COMPLETED", 1)
    if how != "spin":
        # The thread is lost: the process ended once the neighbour had, and another one works.
        workers.wait_for_output("that was replaced has ended")
    assert ended(noop.enqueue(), workers).status == "COMPLETED"


@pytest.mark.parametrize("how", ["spin", "sleep"])
def test_an_async_handler_that_blocks_its_loop_costs_its_process_and_no_neighbour(
    start_workers: StartWorkers, tmp_path: Path, how: str
) -> None:
    workers = start_workers(pool={"worker_count": 1, "async_count": 2})
    started, async_started, gate, async_gate = (tmp_path / name for name in ("a", "b", "c", "d"))
    neighbour = wait_for_file.enqueue(started=str(started), path=str(gate))
    async_neighbour = await_file.enqueue(started=str(async_started), path=str(async_gate))
    wait_for(started.exists, "the neighbour starts", details=workers.output)
    wait_for(async_started.exists, "the async one starts", details=workers.output)
    failed = ended(hang_the_loop.enqueue(how=how), workers)
    assert (failed.status, failed.error_details["error_code"]) == ("FAILED", "timeout")
    async_gate.touch()  # Nobody in the blocked loop sees it.
    wait_for(
        lambda: Job.objects.get(pk=async_neighbour.pk).status == "QUEUED",
        "the async neighbour is given back",
        details=workers.output,
    )
    gate.touch()
    neighbour = ended(neighbour, workers)
    assert (neighbour.status, neighbour.attempt) == ("COMPLETED", 1)
    workers.wait_for_output("that was replaced has ended")
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
