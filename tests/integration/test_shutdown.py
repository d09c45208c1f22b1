"""How runworkers ends: on signals, at the end of the grace, and when its supervisor is gone."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from pleme_redis_django import Job
from tests.database_proxy import DatabaseProxy
from tests.faults.effects import effects_of, transitions_of
from tests.faults.jobs import record, wait_for_file, wait_for_file_async
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for
from tests.worker_processes import WorkerProcesses, process_runs

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("effects")]

EXIT_GAVE_BACK = 3
ALIVE_FOR_LONG = {"heartbeat_seconds": 5, "lease_seconds": 60, "poll_timeout": 60}


def begun(count: int, workers: WorkerProcesses) -> None:
    wait_for(lambda: len(effects_of("begin")) >= count, f"{count} jobs begin", details=workers.output)


def test_sigterm_lets_running_jobs_end_and_gives_the_others_back(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    wait_for_file.enqueue_many({"path": str(gate)} for _ in range(2))
    waiting = wait_for_file.enqueue_many({"path": str(gate)} for _ in range(3))
    workers = start_workers("--worker-count", "2", pool=ALIVE_FOR_LONG)
    begun(2, workers)
    workers.signal(signal.SIGTERM)
    workers.wait_for_output("Draining")
    gate.touch()
    assert workers.exit_code() == 0
    assert Job.objects.filter(status="COMPLETED", attempt=1).count() == 2
    left = Job.objects.filter(id__in=[job.id for job in waiting])
    assert set(left.values_list("status", "retry_count", "crash_count")) == {("QUEUED", 0, 0)}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_whole_group_leaves_running_jobs_their_grace(
    start_workers: StartWorkers, tmp_path: Path, number: signal.Signals
) -> None:
    gate = tmp_path / "gate"
    wait_for_file.enqueue(str(gate))
    workers = start_workers(pool={**ALIVE_FOR_LONG, "grace_seconds": 600})
    begun(1, workers)
    workers.signal_all(number)
    workers.wait_for_output("Draining")
    gate.touch()
    assert workers.exit_code() == 0
    assert Job.objects.get().status == "COMPLETED"


def test_a_second_sigterm_to_the_whole_group_gives_running_jobs_back(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    wait_for_file.enqueue(str(tmp_path / "gate"))
    workers = start_workers(pool={**ALIVE_FOR_LONG, "grace_seconds": 600})
    begun(1, workers)
    workers.signal_all(signal.SIGTERM)
    workers.wait_for_output("Draining")
    workers.signal_all(signal.SIGTERM)
    assert workers.exit_code() == EXIT_GAVE_BACK
    assert Job.objects.get().status == "QUEUED"


def test_a_blocked_pop_does_not_delay_sigterm(start_workers: StartWorkers) -> None:
    workers = start_workers(pool=ALIVE_FOR_LONG)
    workers.wait_for_output("worker started")
    record.enqueue()
    begun(1, workers)
    workers.signal(signal.SIGTERM)
    assert workers.exit_code(deadline_seconds=15) == 0


def test_sigterm_before_the_workers_are_up_ends_well(start_workers: StartWorkers) -> None:
    workers = start_workers("--processes", "2")
    wait_for(lambda: len(workers.children()) == 2, "two children", details=workers.output)
    workers.signal(signal.SIGTERM)
    assert workers.exit_code() == 0


@pytest.mark.parametrize("job", [wait_for_file, wait_for_file_async], ids=["sync", "async"])
def test_a_second_sigterm_gives_running_jobs_back(
    start_workers: StartWorkers, tmp_path: Path, job: Any
) -> None:
    stored = job.enqueue(str(tmp_path / "gate"))
    workers = start_workers(pool={**ALIVE_FOR_LONG, "grace_seconds": 600})
    begun(1, workers)
    workers.signal(signal.SIGTERM)
    workers.wait_for_output("Draining")
    workers.signal(signal.SIGTERM)
    assert workers.exit_code() == EXIT_GAVE_BACK
    row = Job.objects.get(id=stored.id)
    assert (row.status, row.retry_count, row.crash_count) == ("QUEUED", 0, 0)
    assert transitions_of(stored.id) == [("QUEUED", "RUNNING"), ("RUNNING", "QUEUED")]


def test_the_end_of_the_grace_gives_running_jobs_back(start_workers: StartWorkers, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    stored = wait_for_file.enqueue(str(gate))
    workers = start_workers("--grace-seconds", "0.5", pool=ALIVE_FOR_LONG)
    begun(1, workers)
    workers.signal(signal.SIGTERM)
    assert workers.exit_code() == EXIT_GAVE_BACK
    gate.touch()
    assert start_workers("--burst").exit_code() == 0
    row = Job.objects.get(id=stored.id)
    assert (row.status, row.attempt, row.results) == ("COMPLETED", 2, 2)


def test_children_drain_when_their_supervisor_is_killed(start_workers: StartWorkers, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    stored = wait_for_file.enqueue(str(gate))
    workers = start_workers("--processes", "2", pool=ALIVE_FOR_LONG)
    begun(1, workers)
    workers.wait_for_output("worker started", times=2)
    children = workers.children()
    workers.signal(signal.SIGKILL)
    wait_for(lambda: sum(map(process_runs, children)) == 1, "the idle child ends", details=workers.output)
    gate.touch()
    wait_for(lambda: not any(map(process_runs, children)), "the other child ends", details=workers.output)
    assert Job.objects.get(id=stored.id).status == "COMPLETED"
    assert transitions_of(stored.id) == [("QUEUED", "RUNNING"), ("RUNNING", "COMPLETED")]


def test_sigterm_ends_a_worker_whose_database_hangs(
    start_workers: StartWorkers, database_proxy: DatabaseProxy
) -> None:
    workers = start_workers(environment=database_proxy.environment())
    workers.wait_for_output("worker started")
    database_proxy.stall()
    workers.signal(signal.SIGTERM)
    workers.exit_code(deadline_seconds=60)
