"""Limits that are made while a process runs which knows none of them: they count in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pleme_redis_django import Job
from pleme_redis_django.jobs.interface.store import LIMITS_LOOKED_AFTER_SECONDS
from pleme_redis_django.models import FlowLimit
from pleme_redis_django.operations import set_limit
from tests.faults.jobs import record, wait_for_file
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for
from tests.worker_processes import WorkerProcesses

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("effects")]


def status(job: Job) -> str:
    return Job.objects.values_list("status", flat=True).get(pk=job.pk)


def run_or_waits(job: Job) -> str:
    return seen if (seen := status(job)) in ("BLOCKED", "COMPLETED") else ""


def wait_until_one_waits(workers: WorkerProcesses, enqueue: Callable[[], Job]) -> None:
    """Enqueue one after the other until one does not start any more."""

    def the_next_waits() -> bool:
        job = enqueue()
        seen = wait_for(lambda: run_or_waits(job), "it runs or waits", details=workers.output)
        return seen == "BLOCKED"

    # Not by what each process does twice a minute, which finds it too.
    wait_for(
        the_next_waits,
        "the limit counts in the process that runs",
        deadline_seconds=LIMITS_LOOKED_AFTER_SECONDS / 2,
        details=workers.output,
    )


@pytest.mark.parametrize("others", [False, True], ids=["none is known", "another one is known"])
def test_a_limit_that_is_new_counts_in_a_process_that_runs(
    start_workers: StartWorkers, tmp_path: Path, others: bool
) -> None:
    gate = tmp_path / "gate"
    if others:
        set_limit("key", "bank", max_running=1)
    workers = start_workers("--worker-count", "4")
    holder = wait_for_file.using(concurrency_key="api").enqueue(path=str(gate))
    wait_for(lambda: status(holder) == "RUNNING", "it runs without a limit", details=workers.output)
    (process,) = workers.children()
    assert FlowLimit.objects.count() == others
    set_limit("key", "api", max_running=1)
    wait_until_one_waits(workers, record.using(concurrency_key="api").enqueue)
    free = record.enqueue()
    wait_for(lambda: status(free) == "COMPLETED", "others go on", details=workers.output)
    gate.touch()
    wait_for(lambda: not Job.objects.exclude(status="COMPLETED").exists(), "all end", details=workers.output)
    assert workers.children() == [process], "nobody has begun anew"


@pytest.mark.parametrize("before", [None, 5], ids=["no limit before", "a number of running jobs before"])
def test_the_first_rate_of_a_job_type_counts_in_a_process_that_runs(
    start_workers: StartWorkers, before: int | None
) -> None:
    if before is not None:
        set_limit("type", record.name, max_running=before)
    workers = start_workers()
    first = record.enqueue()
    wait_for(lambda: status(first) == "COMPLETED", "it runs without a rate", details=workers.output)
    (process,) = workers.children()
    set_limit("type", record.name, rate=1, per_seconds=86_400.0, burst=2)
    wait_until_one_waits(workers, record.enqueue)
    assert Job.objects.get(status="BLOCKED").blocked_on == f"r:t:default:{record.name}"
    assert workers.children() == [process], "nobody has begun anew"
