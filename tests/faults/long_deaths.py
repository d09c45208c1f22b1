"""Deaths and what they cost the others, with figures: part of ``make faults``, not of the suite.

Leases are the default ones, since how soon work goes on is what is measured.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from pleme_redis_django import Job
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.jobs.interface.workers import WorkerDescription, WorkerIdentity
from pleme_redis_django.orm_store import OrmJobStore, OrmWorkerRegistry
from tests.faults.effects import effects_of
from tests.faults.jobs import kill_own_process, record
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("effects")]

LONG_SECONDS = 60.0
LONG_DEADLINE_SECONDS = 75.0
STREAM_TICK_SECONDS = 0.05
STREAM_BEFORE_SECONDS = 20.0
# Less is the noise of a machine, and no process that has stopped claiming.
STREAM_NOISE_SECONDS = 0.1
PREFETCHED = 400
PREFETCHED_DEADLINE_SECONDS = 45.0
INNOCENTS = 9
INNOCENT_SECONDS = 1.0
INNOCENT_DEADLINE_SECONDS = 30.0
POISON_DEADLINE_SECONDS = 60.0


def test_ten_long_jobs_of_a_killed_process_end_and_hold_up_nobody(start_workers: StartWorkers) -> None:
    first = start_workers(pools={"default": {"worker_count": 20}})
    long_ones = record.enqueue_many({"seconds": LONG_SECONDS} for _ in range(10))
    begins = wait_for(
        lambda: len(effects_of("begin")) == 10 and effects_of("begin"), "all begin", details=first.output
    )
    second = start_workers(pools={"default": {"worker_count": 20}})
    second.wait_for_output("worker started")
    rows = Job.objects.filter(id__in=[job.id for job in long_ones])
    with _stream_of_short_jobs():
        before = _delays_during(STREAM_BEFORE_SECONDS)
        os.kill(begins[0][3], signal.SIGKILL)
        killed_at, killed = time.monotonic(), timezone.now()
        wait_for(
            lambda: rows.filter(status="COMPLETED").count() == 10,
            "all ten end",
            deadline_seconds=LONG_DEADLINE_SECONDS + 30,
            details=first.output,
        )
        took = time.monotonic() - killed_at
        during = _delays_since(killed)
    sys.stdout.write(
        f"\n10 jobs of {LONG_SECONDS:.0f} s ended {took:.1f} s after their process was killed; {len(during):,} jobs of "
        f"20 ms meanwhile: p99 {_p99(before) * 1000:.0f} ms before, {_p99(during) * 1000:.0f} ms during, longest "
        f"{max(during) * 1000:.0f} ms\n"
    )
    assert took < LONG_DEADLINE_SECONDS
    assert _p99(during) < 2 * max(_p99(before), STREAM_NOISE_SECONDS)
    assert set(rows.values_list("crash_count", "retry_count")) == {(1, 0)}


def test_the_prefetched_jobs_of_a_host_that_vanished_are_settled_soon(start_workers: StartWorkers) -> None:
    identity = WorkerIdentity(WorkerDescription(queues=("*",)))
    OrmWorkerRegistry().register(identity.describe())
    record.enqueue_many({"seconds": 0.02} for _ in range(PREFETCHED))
    claimed = OrmJobStore(Job).claim_jobs(identity.worker_id, PREFETCHED, JobSelection())
    vanished_at = time.monotonic()
    assert len(claimed) == PREFETCHED
    workers = start_workers("--processes", "2", pools={"default": {"worker_count": 10}})
    wait_for(
        lambda: Job.objects.filter(status="COMPLETED").count() == PREFETCHED,
        "all end",
        deadline_seconds=PREFETCHED_DEADLINE_SECONDS + 30,
        details=workers.output,
    )
    took = time.monotonic() - vanished_at
    sys.stdout.write(f"\n{PREFETCHED} prefetched jobs ended {took:.1f} s after their host had vanished\n")
    assert took < PREFETCHED_DEADLINE_SECONDS
    assert set(Job.objects.values_list("crash_count", "retry_count")) == {(0, 0)}


def test_innocent_jobs_do_not_wait_for_the_one_that_kills(
    start_workers: StartWorkers, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    killer = kill_own_process.enqueue(str(gate))
    innocents = record.enqueue_many({"seconds": INNOCENT_SECONDS} for _ in range(INNOCENTS))
    workers = start_workers(pools={"default": {"worker_count": INNOCENTS + 1}})
    wait_for(lambda: len(effects_of("begin")) == INNOCENTS + 1, "all begin", details=workers.output)
    gate.touch()
    killed_at = time.monotonic()
    rows = Job.objects.filter(id__in=[job.id for job in innocents])
    wait_for(
        lambda: rows.filter(status="COMPLETED").count() == INNOCENTS,
        "the innocent end",
        deadline_seconds=INNOCENT_DEADLINE_SECONDS,
        details=workers.output,
    )
    innocent_seconds = time.monotonic() - killed_at
    wait_for(
        lambda: Job.objects.get(id=killer.id).status == "FAILED",
        "the killer fails",
        deadline_seconds=POISON_DEADLINE_SECONDS,
        details=workers.output,
    )
    killer_seconds = time.monotonic() - killed_at
    deaths = workers.output().count("was killed by SIGKILL")
    sys.stdout.write(
        f"\n{INNOCENTS} innocent jobs ended {innocent_seconds:.1f} s after their process was killed by another one, "
        f"which ended FAILED {killer_seconds:.1f} s after it, at its death number {deaths}\n"
    )
    assert deaths <= 3
    assert max(rows.values_list("retry_count", flat=True)) == 0


@contextmanager
def _stream_of_short_jobs() -> Iterator[None]:
    """Enqueue a job of 20 ms every 50 ms, whatever becomes of the others."""
    ending = threading.Event()

    def enqueue() -> None:
        try:
            while not ending.wait(STREAM_TICK_SECONDS):
                record.enqueue(0.02)
        finally:
            connections.close_all()

    thread = threading.Thread(target=enqueue, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join(10)


def _delays_during(seconds: float) -> list[float]:
    since = timezone.now()
    time.sleep(seconds)
    return _delays_since(since)


def _delays_since(since: Any) -> list[float]:
    """Return how long after its enqueue each short job has ended, also those that have not yet."""
    rows = Job.objects.filter(created_at__gte=since).values_list("created_at", "completed_at")
    now = timezone.now()
    return [((completed or now) - created).total_seconds() for created, completed in rows]


def _p99(delays: list[float]) -> float:
    return sorted(delays)[int(len(delays) * 0.99)]
