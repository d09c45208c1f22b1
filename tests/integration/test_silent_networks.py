"""Networks that drop packets silently: a process behind one is back before it is declared dead."""

from __future__ import annotations

import signal
from datetime import datetime
from pathlib import Path

import pytest
from django.db.models.functions import Now

from pleme_redis_django import JobStatus
from pleme_redis_django.models import Election, Job, WorkerProcess
from tests.database_proxy import DatabaseProxy
from tests.faults.effects import effects_of, transitions_of
from tests.faults.jobs import wait_for_file
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for
from tests.worker_processes import WorkerProcesses

pytestmark = pytest.mark.process

# In the proportions of the defaults; libpq rounds the timeouts of a shorter lease up to more than it is.
LEASE = {"heartbeat_seconds": 1.6, "lease_seconds": 8, "lease_sweep_seconds": 1.6}


def _beats() -> dict[int, datetime]:
    return dict(WorkerProcess.objects.filter(died_at=None).values_list("pid", "heartbeat_at"))


def _wait_for_beats(workers: WorkerProcesses, count: int) -> dict[int, datetime]:
    children = workers.children
    return wait_for(
        lambda: (
            len(beats := {pid: at for pid, at in _beats().items() if pid in children()}) == count and beats
        ),
        "every process beats",
        details=workers.output,
    )


def _wait_until_all_beat_again(workers: WorkerProcesses, before: dict[int, datetime]) -> None:
    wait_for(
        lambda: (
            WorkerProcess.objects.exclude(died_at=None).exists()
            or all(_beats()[pid] > at for pid, at in before.items())
        ),
        "every process beats again",
        details=workers.output,
    )
    assert not WorkerProcess.objects.exclude(died_at=None).exists(), workers.output()


def _assert_that_nothing_ran_twice(jobs: list[Job], *workers: WorkerProcesses) -> None:
    wait_for(
        lambda: not Job.objects.exclude(status=JobStatus.COMPLETED).exists(),
        "every job ends",
        details=workers[0].output,
    )
    assert len(effects_of("begin")) == len(jobs)
    for job in jobs:
        assert transitions_of(job.id) == [("QUEUED", "RUNNING"), ("RUNNING", "COMPLETED")]
    for one in workers:
        assert "was declared dead" not in one.output()
        assert "rescued the jobs" not in one.output()
        one.signal(signal.SIGTERM)
        assert one.exit_code() == 0, one.output()


@pytest.mark.long
def test_a_worker_whose_connections_die_silently_is_back_before_it_is_taken_for_dead(
    start_workers: StartWorkers, effects: None, database_proxy: DatabaseProxy, tmp_path: Path
) -> None:
    """A firewall has forgotten its connections; its neighbour, which would rescue its jobs, is well."""
    neighbour = start_workers("--queues", "none", pool=LEASE)
    wait_for(
        lambda: Election.objects.filter(role__startswith="sweeper"), "it sweeps", details=neighbour.output
    )
    cut_off = start_workers(pool=LEASE, environment=database_proxy.environment())
    gate = tmp_path / "gate"
    job = wait_for_file.enqueue(str(gate))
    wait_for(lambda: effects_of("begin"), "the job begins", details=cut_off.output)
    before = _wait_for_beats(cut_off, 1)
    database_proxy.swallow(new_connections=False)
    _wait_until_all_beat_again(cut_off, before)
    gate.touch()
    _assert_that_nothing_ran_twice([job], cut_off, neighbour)


def test_nobody_is_taken_for_dead_after_an_outage_longer_than_a_lease(
    start_workers: StartWorkers, effects: None, database_proxy: DatabaseProxy, tmp_path: Path
) -> None:
    """All processes lose the database, notice it at different times, and come back at different times."""
    workers = start_workers("--processes", "2", pool=LEASE, environment=database_proxy.environment())
    gate = tmp_path / "gate"
    jobs = [wait_for_file.enqueue(str(gate)) for _ in range(4)]
    wait_for(lambda: len(effects_of("begin")) == 4, "the jobs begin", details=workers.output)
    before = _wait_for_beats(workers, 2)
    database_proxy.swallow(new_connections=True)
    wait_for(
        lambda: not WorkerProcess.objects.filter(lease_until__gt=Now()).exists(),
        "every lease is over",
        details=workers.output,
    )
    database_proxy.end_swallowing()
    _wait_until_all_beat_again(workers, before)
    gate.touch()
    _assert_that_nothing_ran_twice(jobs, workers)
