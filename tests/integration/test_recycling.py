"""Worker processes that are replaced: by number of jobs, age or memory, while what they run goes on."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from pleme_redis_django import Job
from pleme_redis_django.models import WorkerProcess
from tests.faults.effects import effects_of
from tests.faults.jobs import leak, record, wait_for_file
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for
from tests.worker_processes import WorkerProcesses, process_runs

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("effects")]

ALIVE_FOR_LONG = {"heartbeat_seconds": 5, "lease_seconds": 60, "poll_timeout": 60}
TO_BE_REPLACED = "is to be replaced; starting another one."
HAS_ENDED = "that was replaced has ended."


def is_done(job: Any) -> bool:
    return Job.objects.get(id=job.id).status == "COMPLETED"


def ended(job: Any, workers: WorkerProcesses) -> Any:
    wait_for(lambda: is_done(job), "the job ends", details=workers.output)
    return Job.objects.get(id=job.id)


def with_one_that_leaves(
    start_workers: StartWorkers, gate: Path, **pool: Any
) -> tuple[Any, WorkerProcesses, int]:
    """Return a job that runs in a process which drains, the workers, and the process."""
    held = wait_for_file.enqueue(str(gate))
    workers = start_workers(pool={**ALIVE_FOR_LONG, "max_jobs_per_process": 3, "grace_seconds": 600, **pool})
    wait_for(lambda: effects_of("begin"), "the job begins", details=workers.output)
    (old,) = workers.children()
    record.enqueue_many({} for _ in range(3))
    workers.wait_for_output("is replaced by another process")
    return held, workers, old


def test_the_next_process_works_while_the_old_one_ends_what_it_runs(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    held, workers, old = with_one_that_leaves(start_workers, gate)
    first = Job.objects.get(id=held.id).worker_id
    other = ended(record.enqueue(), workers)
    assert process_runs(old)
    assert other.worker_id != first, "a new job does not wait for the end of a long one"
    wait_for(lambda: WorkerProcess.objects.get(id=first).drain_reason, "the reason is recorded")
    assert WorkerProcess.objects.get(id=first).drain_reason == "it has run 3 jobs"
    gate.touch()
    assert (ended(held, workers).attempt, ended(held, workers).worker_id) == (1, first)
    workers.wait_for_output(HAS_ENDED)
    wait_for(lambda: not process_runs(old), "the old process ends", details=workers.output)
    assert len(workers.children()) == 1
    assert "has reached a limit of its pool" in workers.output()


def test_a_second_replacement_waits_for_the_first_to_be_complete(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    """Else jobs that take hours would have processes and their connections pile up."""
    gate = tmp_path / "gate"
    held, workers, _old = with_one_that_leaves(start_workers, gate)
    record.enqueue_many({} for _ in range(10))
    workers.wait_for_output("has reached a limit of its pool", times=2)
    assert ended(record.enqueue(), workers), "it works on"
    assert len(workers.children()) == 2
    assert workers.output().count(TO_BE_REPLACED) == 1
    gate.touch()
    workers.wait_for_output(TO_BE_REPLACED, times=2)
    assert ended(held, workers).attempt == 1


def test_sigterm_drains_the_one_that_leaves_too(start_workers: StartWorkers, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    held, workers, _old = with_one_that_leaves(start_workers, gate)
    workers.signal(signal.SIGTERM)
    workers.wait_for_output("Draining")
    gate.touch()
    assert workers.exit_code() == 0
    assert is_done(held)


def test_jobs_of_one_that_is_killed_while_it_leaves_are_taken_over_at_once(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    held, workers, old = with_one_that_leaves(start_workers, gate)
    os.kill(old, signal.SIGKILL)
    gate.touch()
    job = ended(held, workers)
    # Its lease has a minute to run.
    assert (job.attempt, job.crash_count) == (2, 0)


def test_a_process_that_is_old_is_replaced(start_workers: StartWorkers) -> None:
    workers = start_workers(pool={"max_process_age_seconds": 1})
    workers.wait_for_output("it has run for 1 s")
    workers.wait_for_output(HAS_ENDED)
    assert ended(record.enqueue(), workers)


def test_a_process_that_holds_much_memory_is_replaced(start_workers: StartWorkers) -> None:
    workers = start_workers(pool={"max_process_memory_mb": 600})
    first = ended(leak.enqueue(1), workers)
    second = ended(leak.enqueue(600), workers)
    assert first.results == second.results
    workers.wait_for_output("it occupies")
    workers.wait_for_output(HAS_ENDED)
    assert ended(leak.enqueue(1), workers).results != first.results


def test_no_job_is_lost_or_run_twice_by_many_replacements(start_workers: StartWorkers) -> None:
    jobs = record.enqueue_many({"seconds": 0.05} for _ in range(300))
    workers = start_workers(
        "--processes", "2", "--worker-count", "2", pool={"max_jobs_per_process": 20, "grace_seconds": 0}
    )
    wait_for(
        lambda: Job.objects.filter(status="COMPLETED").count() == len(jobs), "the end", details=workers.output
    )
    assert len(effects_of("begin")) == len(effects_of("end")) == len(jobs)
    assert TO_BE_REPLACED in workers.output()
    workers.signal(signal.SIGTERM)
    assert workers.exit_code() == 0
