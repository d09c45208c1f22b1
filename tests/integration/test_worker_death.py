"""Workers that die, hang, or take their process with them: nothing is lost, and nothing ends twice."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from pleme_redis_django import Job
from pleme_redis_django.models import WorkerProcess
from pleme_redis_django.operations import run_jobs_now
from tests.faults.effects import effects_of, transitions_of
from tests.faults.jobs import (
    SOON_BACK,
    enqueue_a_record,
    exit_own_process,
    kill_own_container,
    kill_own_process,
    record,
    wait_for_file,
)
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for
from tests.workload.jobs import noop

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("effects")]

# Longer than any deadline here: what happens sooner did not wait for the lease.
LONG_LEASE = {"heartbeat_seconds": 5, "lease_seconds": 600, "lease_sweep_seconds": 60}


def status_of(job: Job) -> str:
    return str(Job.objects.get(id=job.id).status)


def test_a_killed_child_is_replaced_and_its_jobs_run_again_at_once(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    job = wait_for_file.enqueue(str(gate))
    workers = start_workers(pool=LONG_LEASE)
    ((_job, _attempt, _worker, pid),) = wait_for(
        lambda: effects_of("begin"), "it begins", details=workers.output
    )
    os.kill(pid, signal.SIGKILL)
    workers.wait_for_output("was killed by SIGKILL; starting another one.")
    begins = wait_for(lambda: len(effects_of("begin")) == 2 and effects_of("begin"), "it begins again")
    assert [(begin[1], begin[3] == pid) for begin in begins] == [(1, True), (2, False)]
    gate.touch()
    wait_for(lambda: status_of(job) == "COMPLETED", "it ends", details=workers.output)
    row = Job.objects.get(id=job.id)
    assert (row.retry_count, row.crash_count, row.results) == (0, 1, 2)


def test_another_host_rescues_the_jobs_of_a_dead_one(start_workers: StartWorkers, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    job = wait_for_file.enqueue(str(gate))
    first = start_workers()
    wait_for(lambda: effects_of("begin"), "it begins", details=first.output)
    second = start_workers()
    second.wait_for_output("worker started")
    first.end()
    gate.touch()
    wait_for(lambda: status_of(job) == "COMPLETED", "the other host ends it", details=second.output)
    assert "rescued the jobs of dead workers jobs=1" in second.output()
    assert transitions_of(job.id) == [
        ("QUEUED", "RUNNING"),
        ("RUNNING", "QUEUED"),
        ("QUEUED", "RUNNING"),
        ("RUNNING", "COMPLETED"),
    ]


def test_a_zombies_ending_is_refused(start_workers: StartWorkers, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    job = wait_for_file.enqueue(str(gate))
    first = start_workers()
    ((_job, _attempt, _worker, zombie),) = wait_for(
        lambda: effects_of("begin"), "it begins", details=first.output
    )
    os.kill(zombie, signal.SIGSTOP)
    second = start_workers()
    wait_for(lambda: len(effects_of("begin")) == 2, "it begins elsewhere", details=second.output)
    os.kill(zombie, signal.SIGCONT)
    first.wait_for_output("was declared dead, continues as a new worker")
    gate.touch()
    wait_for(lambda: status_of(job) == "COMPLETED", "it ends", details=second.output)
    wait_for(lambda: len(effects_of("end")) == 2, "both handlers end", details=first.output)
    first.wait_for_output("ended too late, its ending was refused")
    row = Job.objects.get(id=job.id)
    assert (row.attempt, row.results) == (2, 2)
    assert [new for _old, new in transitions_of(job.id)].count("COMPLETED") == 1
    second.signal(signal.SIGTERM)
    assert second.exit_code() == 0
    later = noop.enqueue()
    wait_for(lambda: status_of(later) == "COMPLETED", "the former zombie works on", details=first.output)


def test_a_job_that_kills_its_process_fails_alone(start_workers: StartWorkers, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    killer = kill_own_process.enqueue(str(gate))
    innocents = wait_for_file.enqueue_many({"path": str(gate)} for _ in range(4))
    workers = start_workers(pool={**LONG_LEASE, "worker_count": 5})
    wait_for(lambda: len(effects_of("begin")) == 5, "all begin in one process", details=workers.output)
    gate.touch()
    wait_for(lambda: status_of(killer) == "FAILED", "the killer fails", details=workers.output)
    rows = Job.objects.filter(id__in=[job.id for job in innocents])
    wait_for(
        lambda: set(rows.values_list("status", flat=True)) == {"COMPLETED"},
        "the innocent ones end",
        details=workers.output,
    )
    # Those that were still running when it killed; they are acquitted by nothing, and charged nothing.
    assert set(rows.values_list("retry_count", "crash_count")) <= {(0, 0), (0, 1)}
    dead = Job.objects.get(id=killer.id)
    assert (dead.retry_count, dead.crash_count, dead.error_details["error_code"]) == (0, 3, "worker_died")
    assert "while it ran this job alone" in dead.error_message
    # Together with the others, then apart from them, then alone.
    assert [attempt for job_id, attempt, *_ in effects_of("begin") if job_id == killer.id] == [1, 2, 3]


@pytest.mark.long
def test_workers_that_are_killed_again_and_again_end_every_job_once(start_workers: StartWorkers) -> None:
    workers = start_workers("--processes", "2", environment=SOON_BACK)
    jobs: list[Job] = []
    killed: set[int] = set()
    for kills in range(1, 7):
        jobs += record.enqueue_many({"seconds": 0.05} for _ in range(20))
        child = wait_for(
            lambda: [pid for *_, pid in effects_of("begin") if pid in {*workers.children()} - killed][-1:],
            "work goes on",
            details=workers.output,
        )[0]
        os.kill(child, signal.SIGKILL)
        killed.add(child)
        workers.wait_for_output("was killed by SIGKILL", times=kills)
    wait_for(lambda: not Job.objects.exclude(status="COMPLETED"), "all end", details=workers.output)
    for job in jobs:
        assert [new for _old, new in transitions_of(job.id)].count("COMPLETED") == 1


@pytest.mark.parametrize("code", [0, 4])
def test_a_job_that_ends_its_process_with_a_good_code_is_found_out(
    start_workers: StartWorkers, code: int
) -> None:
    """0 and 4 are what a process ends with that has run dry, or was asked to drain."""
    killer = exit_own_process.enqueue(code)
    innocents = record.enqueue_many({} for _ in range(20))
    workers = start_workers("--burst")
    assert workers.exit_code(deadline_seconds=60) == 0, workers.output()
    row = Job.objects.get(id=killer.id)
    assert (row.status, row.crash_count) == ("FAILED", 3), workers.output()
    left = Job.objects.filter(id__in=[job.id for job in innocents]).exclude(status="COMPLETED")
    assert not left.exists(), workers.output()


def test_a_worker_that_ends_with_the_code_of_a_drain_is_replaced(start_workers: StartWorkers) -> None:
    """Nobody asked it to drain: the service must not end because a handler called os._exit(4)."""
    exit_own_process.enqueue(4)
    workers = start_workers(pool=LONG_LEASE)
    workers.wait_for_output("ended with exit code 4; starting another one.")
    assert "was asked to drain" not in workers.output()
    later = noop.enqueue()
    wait_for(lambda: status_of(later) == "COMPLETED", "another one works", details=workers.output)


def test_what_a_killed_child_had_only_prefetched_is_no_suspect(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    warm = record.enqueue_many({"seconds": 0.001} for _ in range(300))
    workers = start_workers(pool={**LONG_LEASE, "worker_count": 1})
    wait_for(lambda: status_of(warm[-1]) == "COMPLETED", "it is warm", details=workers.output)
    wait_for_file.enqueue(str(gate))
    record.enqueue_many({"seconds": 0.001} for _ in range(100))
    wait_for(lambda: effects_of("begin")[-1:], "it begins", details=workers.output)
    held = wait_for(
        lambda: Job.objects.filter(status="RUNNING").count() > 1 and Job.objects.filter(status="RUNNING"),
        "it prefetches",
        details=workers.output,
    )
    ids = list(held.values_list("id", flat=True))
    os.kill(workers.children()[0], signal.SIGKILL)
    gate.touch()
    wait_for(lambda: not Job.objects.exclude(status="COMPLETED"), "all end", details=workers.output)
    assert sum(Job.objects.filter(id__in=ids).values_list("crash_count", flat=True)) == 1


def test_a_child_that_dies_while_it_drains_accuses_nobody(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    job = wait_for_file.enqueue(str(gate))
    workers = start_workers(pool=LONG_LEASE)
    ((_job, _attempt, worker_id, pid),) = wait_for(
        lambda: effects_of("begin"), "it begins", details=workers.output
    )
    os.kill(pid, signal.SIGTERM)
    wait_for(
        lambda: WorkerProcess.objects.filter(id=worker_id, draining_since__isnull=False).exists(),
        "the drain is recorded",
        details=workers.output,
    )
    os.kill(pid, signal.SIGKILL)
    gate.touch()
    wait_for(lambda: status_of(job) == "COMPLETED", "it ends", details=workers.output)
    assert Job.objects.get(id=job.id).crash_count == 0


def test_a_suspect_that_hangs_holds_up_neither_ordinary_work_nor_a_drain(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    hanging = wait_for_file.enqueue(str(tmp_path / "never"))
    Job.objects.filter(id=hanging.id).update(crash_count=2)
    workers = start_workers(pool={**LONG_LEASE, "grace_seconds": 1})
    ((_job, _attempt, worker_id, _pid),) = wait_for(
        lambda: effects_of("begin"), "it begins", details=workers.output
    )
    assert WorkerProcess.objects.get(id=worker_id).is_quarantine
    ordinary = record.enqueue_many({} for _ in range(50))
    rows = Job.objects.filter(id__in=[job.id for job in ordinary])
    wait_for(
        lambda: set(rows.values_list("status", flat=True)) == {"COMPLETED"},
        "ordinary work goes on",
        details=workers.output,
    )
    assert worker_id not in {str(worker) for worker in rows.values_list("worker_id", flat=True)}
    workers.signal(signal.SIGTERM)
    assert workers.exit_code() == 3
    assert (status_of(hanging), Job.objects.get(id=hanging.id).crash_count) == ("QUEUED", 2)


def test_the_quarantine_process_is_there_only_while_there_are_suspects(start_workers: StartWorkers) -> None:
    job = record.enqueue()
    Job.objects.filter(id=job.id).update(crash_count=2)
    workers = start_workers(pool=LONG_LEASE)
    wait_for(lambda: status_of(job) == "COMPLETED", "it ends", details=workers.output)
    wait_for(lambda: len(workers.children()) == 1, "the quarantine process ends", details=workers.output)
    assert not WorkerProcess.objects.filter(is_quarantine=True).exists()
    assert Job.objects.get(id=job.id).crash_count == 0
    workers.signal(signal.SIGTERM)
    assert workers.exit_code() == 0


def test_a_burst_runs_what_a_suspect_has_enqueued(start_workers: StartWorkers) -> None:
    """The ordinary processes have run dry, and ended, while it ran."""
    suspect = enqueue_a_record.enqueue()
    Job.objects.filter(id=suspect.id).update(crash_count=2)
    workers = start_workers("--burst", "--processes", "2")
    assert workers.exit_code(deadline_seconds=60) == 0, workers.output()
    assert sorted(Job.objects.values_list("status", "crash_count")) == [("COMPLETED", 0)] * 2


def test_a_job_that_takes_its_container_along_every_time_ends_failed(start_workers: StartWorkers) -> None:
    """As when the kernel ends a whole container for its memory: nobody is left who would have seen it."""
    killer = kill_own_container.enqueue()
    Job.objects.filter(id=killer.id).update(
        unseen_deaths=3
    )  # Each takes seconds, and these are like the others.
    prefetched = record.enqueue_many({} for _ in range(20))
    for _ in range(3):
        _start_a_container_that_dies(start_workers, killer)
    workers = start_workers(pool=ONE_SLOT)
    wait_for(lambda: status_of(killer) == "FAILED", "the killer fails", details=workers.output)
    rows = Job.objects.filter(id__in=[job.id for job in prefetched])
    wait_for(lambda: rows.filter(status="COMPLETED").count() == 20, "the others end", details=workers.output)
    assert set(rows.values_list("unseen_deaths", "crash_count", "retry_count")) == {(0, 0, 0)}
    dead = Job.objects.get(id=killer.id)
    assert (dead.unseen_deaths, dead.retry_count) == (6, 0)
    assert dead.error_details["error_code"] == "worker_died"
    assert "number 6 in a row" in dead.error_message


ONE_SLOT = {
    "worker_count": 1,
    "async_count": 0,
    "max_unseen_deaths": 6,
    "heartbeat_seconds": 0.25,
    "lease_seconds": 1,
    "lease_sweep_seconds": 0.25,
}


def _start_a_container_that_dies(start_workers: StartWorkers, killer: Job) -> None:
    workers = start_workers(pool=ONE_SLOT)

    def has_died() -> bool:
        # It is not to wait for its delay, by which it parts from others.
        run_jobs_now(Job.objects.filter(id=killer.id))
        return not workers.is_running()

    wait_for(has_died, "it kills again", details=workers.output)
