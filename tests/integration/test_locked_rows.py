"""Rows that are locked for long, by a handler or by somebody else: everything else goes on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pleme_redis_django import JobStatus
from pleme_redis_django.models import Job
from tests.faults.effects import effects_of, transitions_of
from tests.faults.jobs import wait_for_file
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for
from tests.worker_processes import WorkerProcesses
from tests.workload import jobs

pytestmark = pytest.mark.process
TABLE = Job._meta.db_table


@pytest.fixture
def somebody(
    transactional_db: None, process_environment: dict[str, str]
) -> Iterator[psycopg.Connection[Any]]:
    """A session of somebody else, in a transaction."""
    with psycopg.connect(process_environment["DATABASE_URL"], application_name="somebody") as session:
        yield session
        session.rollback()


def _wait_for_effects(kind: str, count: int, workers: WorkerProcesses) -> None:
    wait_for(lambda: len(effects_of(kind)) == count, f"{count} x {kind}", details=workers.output)


def _completed() -> int:
    return Job.objects.filter(status=JobStatus.COMPLETED).count()


def test_a_handler_that_locks_its_own_row_holds_up_no_other(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    started, let_go = tmp_path / "started", tmp_path / "let-go"
    holder = jobs.hold_own_row.enqueue(started=str(started), path=str(let_go))
    workers = start_workers("--worker-count", "2")
    wait_for(started.exists, "the handler holds its row", details=workers.output)
    jobs.noop.enqueue_many([{}] * 100)
    wait_for(
        lambda: Job.objects.filter(status=JobStatus.COMPLETED).count() == 100,
        "100 jobs end beside it",
        details=workers.output,
    )
    let_go.touch()
    wait_for(
        lambda: Job.objects.get(id=holder.id).status == JobStatus.COMPLETED,
        "the handler ends too",
        details=workers.output,
    )
    assert Job.objects.get(id=holder.id).progress == {"done": 1, "total": 2}
    workers.signal(signal.SIGTERM)
    assert workers.exit_code() == 0


def test_a_locked_table_holds_endings_up_and_loses_none(
    start_workers: StartWorkers, effects: None, somebody: psycopg.Connection[Any], tmp_path: Path
) -> None:
    """As CREATE INDEX, REFRESH or ALTER TABLE do it, or a forgotten LOCK."""
    workers = start_workers("--worker-count", "4")
    for turn, mode in enumerate(("SHARE", "EXCLUSIVE", "ACCESS EXCLUSIVE"), start=1):
        gate = tmp_path / mode
        held = [wait_for_file.enqueue(str(gate)) for _ in range(4)]
        _wait_for_effects("begin", 4 * turn, workers)
        somebody.execute(f"LOCK TABLE {TABLE} IN {mode} MODE")
        gate.touch()
        told = f"The table {TABLE} is locked: the process {somebody.info.backend_pid} "
        workers.wait_for_output(told, times=turn)
        _wait_for_effects("end", 4 * turn, workers)
        assert "cannot be written yet" not in workers.output(), "No ending is to blame."
        somebody.rollback()
        jobs.noop.enqueue_many([{}] * 50)
        wait_for(lambda all_=54 * turn: _completed() == all_, "everything ends", details=workers.output)
        for one in held:
            assert transitions_of(one.id) == [("QUEUED", "RUNNING"), ("RUNNING", "COMPLETED")]
        workers.wait_for_output("the database answers again during=finish", times=turn)
    workers.signal(signal.SIGTERM)
    assert workers.exit_code() == 0


def test_a_burst_waits_for_the_ending_of_a_locked_row(
    start_workers: StartWorkers, effects: None, somebody: psycopg.Connection[Any], tmp_path: Path
) -> None:
    """What is done and not written down would be done again."""
    gate = tmp_path / "gate"
    locked = wait_for_file.enqueue(str(gate))
    workers = start_workers("--burst", "--worker-count", "2")
    wait_for(lambda: effects_of("begin"), "the job begins", details=workers.output)
    somebody.execute(f"SELECT FROM {TABLE} WHERE id = %s FOR UPDATE", [locked.id])
    gate.touch()
    jobs.noop.enqueue_many([{}] * 20)
    wait_for(lambda: _completed() == 20, "the others end", details=workers.output)
    output = workers.wait_for_output("the burst waits until these endings are written")
    assert f"of the database's process {somebody.info.backend_pid}, holds the rows of 1 job(s)" in output
    assert workers.is_running()
    somebody.rollback()
    assert workers.exit_code() == 0, workers.output()
    assert _completed() == 21
    assert transitions_of(locked.id) == [("QUEUED", "RUNNING"), ("RUNNING", "COMPLETED")]
