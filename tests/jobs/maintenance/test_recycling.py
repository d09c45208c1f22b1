"""A process that has run long enough lets another one take its place, and runs what it has claimed."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from pleme_redis_django import JobStatus, WorkerPoolConfig
from pleme_redis_django.jobs.interface.events import RecycleBegun, WorkerStopped
from pleme_redis_django.jobs.maintenance.recycling import Recycling
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.process_memory import occupied_mb
from pleme_redis_django.testing import ManualClock
from tests.jobs.pool_bench import Bench
from tests.jobs.recording import FunctionExecutor
from tests.waiting import wait_until


class LaneThatEnded:
    """A lane that says how many jobs have ended."""

    count = 0

    def ended(self) -> int:
        return self.count


def recycling(share: float = 0.0, mb: float = 100, **limits: Any) -> tuple[Any, Agenda, Any, ManualClock]:
    agenda, lane, clock = Agenda(60), LaneThatEnded(), ManualClock()
    lanes: Any = [lane]
    one = Recycling(
        WorkerPoolConfig(**limits),
        agenda,
        lanes,
        lambda _reason: None,
        waits=False,
        clock=clock,
        occupied_mb=lambda: mb,
        random_share=lambda: share,
    )
    return one, agenda, lane, clock


def test_without_a_limit_there_is_no_duty() -> None:
    assert recycling()[0].duties() == []


def test_jobs_are_counted() -> None:
    one, agenda, lane, _clock = recycling(max_jobs_per_process=100)
    lane.count = 99
    one.look()
    assert agenda.leaving.recycle_reason == ""
    lane.count = 100
    one.look()
    assert (agenda.leaving.recycle_reason, agenda.leaving.lets_waiting_run) == ("it has run 100 jobs", True)


def test_chance_takes_up_to_a_tenth_off() -> None:
    one, agenda, lane, _clock = recycling(1.0, max_jobs_per_process=100)
    lane.count = 90
    one.look()
    assert agenda.leaving.recycle_reason == "it has run 90 jobs"


def test_age_is_measured() -> None:
    one, agenda, _lane, clock = recycling(max_process_age_seconds=3_600)
    clock.advance(3_599)
    one.look()
    assert not agenda.leaving.requested.is_set()
    clock.advance(1)
    one.look()
    assert agenda.leaving.recycle_reason == "it has run for 3,600 s"


@pytest.mark.parametrize(("mb", "reason"), [(99.9, ""), (250.0, "it occupies 250 MB")])
def test_memory_is_measured(mb: float, reason: str) -> None:
    one, agenda, lane, _clock = recycling(mb=mb, max_process_memory_mb=100)
    one.look()
    assert agenda.leaving.recycle_reason == "", "one that has run nothing occupies what its replacement would"
    lane.count = 1
    one.look()
    assert agenda.leaving.recycle_reason == reason


def test_the_memory_of_this_process_is_known() -> None:
    assert 10 < occupied_mb() < 10_000


def test_nothing_is_given_back(bench: Bench) -> None:
    """Three jobs are claimed at once for two slots; the one that waits still runs."""
    gate, ran = threading.Event(), []

    def work(job: Any) -> None:
        ran.append(job.id)
        assert gate.wait(20)

    pool = bench.pool(FunctionExecutor(work), worker_count=2)
    bench.add(2)
    pool.launch()
    wait_until(lambda: len(ran) == 2)
    pool._parts.agenda.leaving.recycle("the test says so", lets_waiting_run=True)
    wait_until(lambda: bench.sink.of(RecycleBegun))
    gate.set()
    assert pool._shutdown.is_over.wait(20)
    assert bench.statuses() == [JobStatus.COMPLETED] * 2
    assert bench.sink.of(WorkerStopped)[0].given_back == 0
