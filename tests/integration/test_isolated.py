"""Isolated jobs in real worker processes: what happens in one is its own alone."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pleme_redis_django import Job
from pleme_redis_django.models import JobAttempt
from pleme_redis_django.operations import cancel_jobs
from pleme_redis_django.tasks_backend import job_options
from tests.enqueueing.retry_rules import patient
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for
from tests.worker_processes import WorkerProcesses, process_runs
from tests.workload import tasks
from tests.workload.isolated_jobs import (
    die,
    die_at_first,
    hang_apart,
    leak,
    raise_what,
    return_what,
    tell_process,
    wait_apart,
    wait_for_flags,
    write_atomically,
)
from tests.workload.jobs import add, add_slowly, wait_for_file

pytestmark = pytest.mark.process

# Two programs start before the handler does.
DEADLINE_SECONDS = 90.0

Neighbour = Callable[[WorkerProcesses], None]


def ended(job: Job, workers: WorkerProcesses) -> Any:
    return in_status(job, workers, "COMPLETED", "FAILED", "CANCELLED")


def in_status(job: Job, workers: WorkerProcesses, *statuses: str) -> Any:
    def look() -> Any:
        row = Job.objects.get(pk=job.pk)
        return row if row.status in statuses else None

    what = f"{job.job_type} is {statuses}"
    return wait_for(look, what, deadline_seconds=DEADLINE_SECONDS, details=workers.output)


def pid_in(path: Path, workers: WorkerProcesses) -> int:
    wait_for(path.exists, "it starts", deadline_seconds=DEADLINE_SECONDS, details=workers.output)
    return int(path.read_text())


@pytest.fixture
def neighbour(tmp_path: Path) -> tuple[Neighbour, Neighbour]:
    """Two functions: the first starts a job in the worker process itself, the second ends it, undisturbed."""
    started, gate = tmp_path / "neighbour", tmp_path / "gate"
    jobs: list[Job] = []

    def begin(workers: WorkerProcesses) -> None:
        jobs.append(wait_for_file.enqueue(started=str(started), path=str(gate)))
        wait_for(started.exists, "the neighbour starts", details=workers.output)

    def end(workers: WorkerProcesses) -> None:
        gate.touch()
        row = ended(jobs[0], workers)
        assert (row.status, row.attempt, row.crash_count) == ("COMPLETED", 1, 0)
        assert "starting another one" not in workers.output() and "replaced" not in workers.output()

    return begin, end


def test_a_death_is_the_jobs_own(start_workers: StartWorkers, neighbour: tuple[Neighbour, Neighbour]) -> None:
    workers = start_workers(pool={"worker_count": 2})
    neighbour[0](workers)
    words = {
        "segfault": "was killed by SIGSEGV (Segmentation fault)",
        "abort": "was killed by SIGABRT (Aborted)",
        "kill": "was killed by SIGKILL (Killed)",
        "exit": "ended with exit code 7",
        "close": "closed its channel",
    }
    for how, said in words.items():
        dead = ended(die.enqueue(how=how), workers)
        assert (dead.status, dead.error_details["error_code"]) == ("FAILED", "worker_died")
        assert dead.error_message == f"The process of its own in which the handler ran {said}."
        assert (dead.attempt, dead.crash_count, dead.unseen_deaths) == (1, 0, 0)
    retried = ended(die_at_first.enqueue(), workers)
    assert (retried.status, retried.results, retried.retry_count) == ("COMPLETED", 2, 1)
    neighbour[1](workers)
    assert workers.output().count("last words of the process") == len(words)
    # Where it crashed is kept with the failure.
    crashed = Job.objects.filter(error_message__contains="SIGSEGV").get()
    traceback = crashed_traceback(crashed)
    assert "Segmentation fault" in traceback and "isolated_jobs.py" in traceback


def test_the_retry_rules_of_one_enqueue_hold_for_isolated_jobs(start_workers: StartWorkers) -> None:
    workers = start_workers()
    crash = die_at_first.using(retry_delay=patient).enqueue()
    error = raise_what.using(retry_delay=patient, max_retries=1).enqueue("plain")
    for job in (crash, error):
        row = in_status(job, workers, "PENDING", "COMPLETED", "FAILED")
        assert (row.status, row.retry_count) == ("PENDING", 1), row.error_message
        assert (row.run_after - row.failed_at).total_seconds() == pytest.approx(100, abs=5)


def crashed_traceback(job: Any) -> str:
    return str(JobAttempt.objects.get(job_id=job.pk).traceback)


def test_a_handler_that_hangs_ends_by_its_bounds_and_the_worker_works_on(
    start_workers: StartWorkers, neighbour: tuple[Neighbour, Neighbour], tmp_path: Path
) -> None:
    workers = start_workers(pool={"worker_count": 2})
    neighbour[0](workers)
    # Bytecode and a sleep are interrupted, so that what the handler cleans up is; the process is kept.
    for how, heeds in {"spin": True, "sleep": True, "regex": False, "hash": False}.items():
        cleaned = tmp_path / how
        before = ended(tell_process.enqueue(), workers).results
        hung = ended(hang_apart.enqueue(how=how, cleaned=str(cleaned)), workers)
        assert (hung.status, hung.error_details["error_code"]) == ("FAILED", "timeout")
        assert hung.error_message == "The attempt ran for longer than its timeout of 0.5 s."
        assert cleaned.exists() == heeds
        after = ended(tell_process.enqueue(), workers).results
        assert (before == after) == heeds
        assert "hang_apart" in crashed_traceback(hung)
    neighbour[1](workers)


def test_what_a_handler_raises_and_returns_comes_back(start_workers: StartWorkers) -> None:
    workers = start_workers(pool={"worker_count": 1})
    snoozed = in_status(raise_what.enqueue("snooze"), workers, "PENDING")
    assert (snoozed.snoozes, snoozed.retry_count) == (1, 0)
    discarded = ended(raise_what.enqueue("discard"), workers)
    assert (discarded.status, discarded.error_message) == ("CANCELLED", "not wanted")
    for kind, code in {"retry": "retry_after", "exit": "SystemExit", "other": "LookupError"}.items():
        failed = in_status(raise_what.enqueue(kind), workers, "PENDING")
        assert (failed.retry_count, failed.error_details["error_code"]) == (1, code)
    assert "no other" in failed.error_message and "in raise_what" in crashed_traceback(failed)
    for kind, fault in {"object": "at a a object does not survive JSON", "huge": "bytes as JSON"}.items():
        refused = ended(return_what.enqueue(kind), workers)
        assert refused.error_details["error_code"] == "invalid_result" and fault in refused.error_message
    assert ended(return_what.enqueue("text"), workers).results == {"text": 'é\n"\\' * 10_000}


def test_an_atomic_handler_commits_with_its_ending_or_not_at_all(start_workers: StartWorkers) -> None:
    workers = start_workers(pool={"worker_count": 1})
    dead = ended(write_atomically.enqueue(die=True), workers)
    assert (dead.error_details["error_code"], dead.metadata) == ("worker_died", {})
    assert Job.objects.count() == 1
    done = ended(write_atomically.enqueue(die=False), workers)
    assert (done.status, done.results, done.metadata) == ("COMPLETED", "written", {"seen": True})
    assert ended(Job.objects.get(metadata={"of": str(done.pk)}), workers).status == "COMPLETED"
    assert "ending was refused" not in workers.output()


def test_a_handler_has_a_whole_context_and_is_cancelled(start_workers: StartWorkers, tmp_path: Path) -> None:
    workers = start_workers(pool={"worker_count": 2})
    started, gate = tmp_path / "started", tmp_path / "end"
    job = wait_apart.using(timeout=600, product="shop").enqueue(started=str(started), path=str(gate))
    wait_for(
        lambda: Job.objects.get(pk=job.pk).progress == {"done": 1, "total": 2, "note": "waits"},
        "its progress is written while it runs",
        details=workers.output,
    )
    gate.touch()
    assert ended(job, workers).results == {"remaining": True, "fence": 1, "product": "shop"}

    cancelled = wait_apart.enqueue(started=str(tmp_path / "second"), path=str(tmp_path / "never"))
    pid_in(tmp_path / "second", workers)
    cancel_jobs(Job.objects.filter(pk=cancelled.pk))
    row = ended(cancelled, workers)
    assert (row.status, row.error_message) == ("CANCELLED", "The job was cancelled while it ran.")

    flagged = wait_for_flags.using(timeout=0.1, kill_after=600).enqueue()
    in_status(flagged, workers, "RUNNING")
    cancel_jobs(Job.objects.filter(pk=flagged.pk))
    assert ended(flagged, workers).results == {"timed_out": True, "cancel_requested": True}

    # What does not heed is ended as after a timeout.
    stuck = hang_apart.using(timeout=600, kill_after=0.5).enqueue(how="hash", cleaned=str(tmp_path / "never"))
    in_status(stuck, workers, "RUNNING")
    cancel_jobs(Job.objects.filter(pk=stuck.pk))
    assert ended(stuck, workers).status == "CANCELLED"


def test_a_pool_may_isolate_all_its_sync_handlers(start_workers: StartWorkers) -> None:
    workers = start_workers(pool={"worker_count": 1, "isolated": True})
    (worker,) = wait_for(workers.children, "the worker starts", details=workers.output)
    assert ended(tell_process.using(isolated=False).enqueue(), workers).results["pid"] == worker
    assert ended(add_slowly.enqueue(1, 2), workers).results == 3
    assert below(worker) == []
    assert ended(add.enqueue(1, 2), workers).results == 3
    task = job_options(tasks.add, max_retries=0).enqueue(1, right=2)
    wait_for(lambda: task.refresh() or task.is_finished, "the task ends", details=workers.output)
    assert task.return_value == 3
    assert len(below(worker)) == 1


def below(pid: int) -> list[int]:
    """Return the processes that a process has started, whichever of its threads did."""
    found = [thread.read_text().split() for thread in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for children in found for child in children]


def test_a_process_that_reaches_a_limit_is_replaced_alone(start_workers: StartWorkers) -> None:
    workers = start_workers(pool={"worker_count": 1, "max_process_memory_mb": 400})
    (worker,) = wait_for(workers.children, "the worker starts", details=workers.output)
    small, large = (ended(leak.enqueue(mb=mb), workers).results for mb in (1, 500))
    assert small == large
    told = ended(tell_process.enqueue(), workers).results
    assert told["pid"] != large and told["worker"] == worker
    wait_for(lambda: not process_runs(large), "the large one ends")


@pytest.mark.parametrize("ends_by", ["drain", "grace", "kill"])
def test_no_process_outlives_its_worker(start_workers: StartWorkers, tmp_path: Path, ends_by: str) -> None:
    workers = start_workers(pool={"worker_count": 2, "grace_seconds": 600})
    started, gate = tmp_path / "started", tmp_path / "end"
    idle = ended(tell_process.enqueue(), workers).results
    job = wait_apart.enqueue(started=str(started), path=str(gate))
    hung = hang_apart.using(timeout=600).enqueue(how="regex", cleaned=str(tmp_path / "never"))
    running = pid_in(started, workers)
    in_status(hung, workers, "RUNNING")
    if ends_by == "kill":
        os.kill(idle["worker"], signal.SIGKILL)
        wait_for(lambda: not process_runs(running), "it ends with its worker", details=workers.output)
        again = wait_for(
            lambda: Job.objects.filter(pk=job.pk, attempt=2).first(), "it runs again", details=workers.output
        )
        assert (again.crash_count, again.retry_count) == (0, 0)
        return
    # The whole group, as a terminal and a service manager do it: the process has its worker's word for it.
    workers.signal_all(signal.SIGINT)
    workers.wait_for_output("Draining: waiting for running jobs")
    assert process_runs(running)
    if ends_by == "drain":
        cancel_jobs(Job.objects.filter(pk=hung.pk))
        gate.touch()
        assert ended(job, workers).status == "COMPLETED"
    else:
        workers.signal(signal.SIGTERM)
    assert workers.exit_code(deadline_seconds=60) == (0 if ends_by == "drain" else 3)
    wait_for(lambda: not process_runs(running), "it has ended")
    if ends_by == "grace":
        assert Job.objects.get(pk=job.pk).status == "QUEUED"
