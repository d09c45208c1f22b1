"""What handlers start and leave behind: it inherits nothing of the worker, and keeps nothing from ending."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from pleme_redis_django import Job
from tests.faults.programs import (
    interrupt_program,
    leave_daemon,
    leave_thread,
    read_standard_input,
    terminate_forked_child,
)
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for
from tests.worker_processes import process_runs

pytestmark = pytest.mark.process
KNOWS_THE_JOBS = {"FAULT_IMPORTS": "tests.faults.programs"}


def test_a_program_answers_as_it_does_elsewhere(start_workers: StartWorkers) -> None:
    """A forked child is terminated, the standard input is empty, and a program is interrupted."""
    expected = {
        terminate_forked_child.enqueue().id: -signal.SIGTERM,
        read_standard_input.enqueue().id: "",
        interrupt_program.enqueue().id: -signal.SIGINT,
    }
    assert start_workers("--burst", environment=KNOWS_THE_JOBS).exit_code() == 0
    for row in Job.objects.all():
        assert (row.status, row.results) == ("COMPLETED", expected[row.id]), row.error_message


def test_threads_that_handlers_left_do_not_keep_a_worker_from_ending(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    leave_thread.enqueue(str(gate))
    workers = start_workers("--log-format", "json", environment=KNOWS_THE_JOBS)
    wait_for(lambda: Job.objects.get().status == "COMPLETED", "the job ends", details=workers.output)
    workers.signal(signal.SIGTERM)
    assert workers.exit_code() == 0
    assert "thread left-executor_0, thread left-thread" in workers.output()
    assert "worker stopped" in workers.output()
    assert not gate.exists()


def test_a_second_sigterm_ends_the_wait_for_threads_that_were_left(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    leave_thread.enqueue(str(tmp_path / "gate"))
    workers = start_workers(environment=KNOWS_THE_JOBS)
    wait_for(lambda: Job.objects.get().status == "COMPLETED", "the job ends", details=workers.output)
    workers.signal(signal.SIGTERM)
    workers.wait_for_output("worker stopped")
    workers.signal(signal.SIGTERM)
    assert workers.exit_code() == 0
    assert "thread left-executor_0, thread left-thread" in workers.output()


def test_a_daemon_process_does_not_outlive_a_worker_that_gives_its_handler_back(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    path = tmp_path / "pid"
    leave_daemon.enqueue(str(path), str(tmp_path / "gate"))
    workers = start_workers("--grace-seconds", "0", environment=KNOWS_THE_JOBS)
    pid = int(wait_for(lambda: path.exists() and path.read_text(), "the daemon runs", details=workers.output))
    workers.signal(signal.SIGTERM)
    assert workers.exit_code() == 3
    wait_for(lambda: not process_runs(pid), "the daemon ends", details=workers.output)
