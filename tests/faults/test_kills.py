"""Processes are killed by the dozen: no job is lost, none is stuck, and each ends once.

The suite kills 60, ``make faults`` 1,000 (``PLEME_FAULT_KILLS``, ``PLEME_FAULT_SEED``); either goes on until
something was killed at every named point, in the middle of a handler, at random, and with its whole host. Jobs of dead
processes are kept apart for as long as anywhere, but in the suite, which has no time for it.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from pleme_redis_django import Job
from tests.faults.effects import effects_of
from tests.faults.invariants import assert_invariants
from tests.faults.jobs import SOON_BACK, wait_for_file
from tests.faults.storm import Storm
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("effects")]

KILLS = int(os.environ.get("PLEME_FAULT_KILLS", "60"))
SEED = int(os.environ.get("PLEME_FAULT_SEED", "1"))
ENVIRONMENT = None if "PLEME_FAULT_KILLS" in os.environ else SOON_BACK


@pytest.mark.long
def test_jobs_survive_a_storm_of_kills(start_workers: StartWorkers, tmp_path: Path) -> None:
    figures = Storm(start_workers, tmp_path, seed=SEED, kills=KILLS, environment=ENVIRONMENT).run()
    sys.stdout.write(f"\nseed {SEED}: {figures.text()}\n")
    assert sum(figures.kills.values()) >= KILLS
    assert_invariants()


@pytest.mark.long
def test_a_dead_hosts_jobs_run_again_at_default_leases(start_workers: StartWorkers, tmp_path: Path) -> None:
    """Nobody sees this host die: only its lease, 25 s by default, tells."""
    gate = tmp_path / "gate"
    first = start_workers(pools={"default": {}})
    first.wait_for_output("worker started")
    jobs = wait_for_file.enqueue_many({"path": str(gate)} for _ in range(5))
    wait_for(lambda: len(effects_of("begin")) == 5, "they begin", details=first.output)
    second = start_workers(pools={"default": {}})
    second.wait_for_output("worker started")
    first.end()
    died_at = time.monotonic()
    gate.touch()
    wait_for(
        lambda: Job.objects.filter(status="COMPLETED").count() == len(jobs),
        "the other host ends them",
        deadline_seconds=90,
        details=second.output,
    )
    sys.stdout.write(f"\n{len(jobs)} jobs ended {time.monotonic() - died_at:.1f} s after their host died\n")
    assert set(Job.objects.values_list("attempt", "retry_count", "crash_count")) == {(2, 0, 0)}
    assert_invariants()
