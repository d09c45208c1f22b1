"""Suspects: jobs at whose run processes died run one at a time, and hold up nobody."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from pleme_redis_django import JobStatus
from pleme_redis_django.jobs.interface.events import (
    JobStarted,
    SuspectsSeen,
    SuspectStarted,
)
from pleme_redis_django.jobs.worker.suspects import RunMode, SuspectRule
from tests.jobs.pool_bench import DEADLINE_SECONDS, Bench
from tests.jobs.recording import (
    FunctionExecutor,
    TypedExecutor,
)
from tests.waiting import wait_until

# Suspects are seen by a scan; nothing wakes a worker for them.
SOON_SECONDS = 0.1


def test_suspects_run_one_at_a_time_beside_ordinary_work(bench: Bench) -> None:
    """Nobody supervises this pool: a suspect that hangs costs one slot, and the next suspect waits for it."""
    gate = threading.Event()
    suspects = [bench.store.add(crash_count=2).id for _ in range(2)]

    def handler(job: Any) -> str:
        bench.note(job)
        if job.id in suspects:
            assert gate.wait(DEADLINE_SECONDS)
        return "done"

    bench.pool(FunctionExecutor(handler), worker_count=3).launch()
    wait_until(lambda: bench.ran)
    bench.add(20)
    wait_until(lambda: bench.statuses().count(JobStatus.COMPLETED) == 20)
    assert len(set(suspects) & set(bench.ran)) == 1
    gate.set()
    wait_until(lambda: set(bench.statuses()) == {JobStatus.COMPLETED})
    assert len(bench.sink.of(SuspectStarted)) == 2
    assert {job.crash_count for job in bench.store.all()} == {0}, "they are acquitted"


def test_a_long_job_and_a_suspect_hold_up_nobody(bench: Bench) -> None:
    """The process need not become empty for a suspect: ordinary jobs go on, and so does the suspect."""
    gate = threading.Event()
    bench.store.add("long")
    pool = bench.pool(
        TypedExecutor({"long": lambda job: gate.wait(DEADLINE_SECONDS), "test": bench.note}, {}),
        worker_count=2,
        poll_timeout=SOON_SECONDS,
    )
    pool.launch()
    wait_until(lambda: len(bench.sink.of(JobStarted)) == 1)
    suspect = bench.store.add(crash_count=2)
    bench.add(10)
    wait_until(lambda: len(bench.ran) == 11)
    assert suspect.id in bench.ran
    wait_until(lambda: bench.statuses().count(JobStatus.COMPLETED) == 11)
    assert bench.statuses().count(JobStatus.RUNNING) == 1, "the long one"
    gate.set()


def test_a_supervised_pool_reports_suspects_and_leaves_them_alone(bench: Bench) -> None:
    suspect = bench.store.add(crash_count=2)
    bench.add(3)
    pool = bench.pool(suspects=SuspectRule.REPORTED)
    pool.launch()
    wait_until(lambda: bench.sink.of(SuspectsSeen))
    wait_until(lambda: bench.statuses().count(JobStatus.COMPLETED) == 3)
    assert suspect.id not in bench.ran


def test_a_quarantine_runs_suspects_alone_and_ends(bench: Bench) -> None:
    running = threading.Semaphore(1)
    overlapped: list[Any] = []
    suspects = {bench.store.add(crash_count=2).id for _ in range(3)}
    bench.add(3)

    def alone(job: Any) -> str:
        if not running.acquire(blocking=False):
            overlapped.append(job.id)
        try:
            return bench.note(job)
        finally:
            running.release()

    bench.pool(FunctionExecutor(alone), suspects=SuspectRule.ONLY).start()
    assert set(bench.ran) == suspects
    assert overlapped == []
    assert bench.statuses().count(JobStatus.QUEUED) == 3


def test_a_burst_leaves_no_suspect_behind(bench: Bench) -> None:
    for _ in range(2):
        bench.store.add(crash_count=2)
    bench.add(3)
    bench.pool(burst=True).start()
    assert set(bench.statuses()) == {JobStatus.COMPLETED}


def test_what_becomes_due_is_told_by_a_quarantine_to_the_others(bench: Bench) -> None:
    gate = threading.Event()
    bench.store.add(crash_count=2)
    bench.pool(FunctionExecutor(lambda job: gate.wait(DEADLINE_SECONDS)), suspects=SuspectRule.ONLY).launch()
    wait_until(lambda: bench.sink.of(JobStarted))
    bench.store.add(delay_seconds=0.01)
    bench.pools[0]._parts.agenda.scan_soon()
    wait_until(lambda: bench.hints.nudges)
    assert JobStatus.QUEUED in bench.statuses()
    gate.set()


@pytest.mark.parametrize(
    ("mode", "ends"),
    [
        (RunMode(), False),
        (RunMode(suspects=SuspectRule.REPORTED), False),
        (RunMode(burst=True), True),
        (RunMode(suspects=SuspectRule.ONLY), True),
    ],
)
def test_a_burst_and_a_quarantine_process_end_by_themselves(mode: RunMode, ends: bool) -> None:
    assert mode.ends_when_dry is ends
