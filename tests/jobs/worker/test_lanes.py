"""What threads and the event loop have in common: slots, and what is taken back from them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from pleme_redis_django.jobs.interface.endings import Cancelled, Completed, GivenBack, Retried
from pleme_redis_django.jobs.interface.events import JobStarted
from pleme_redis_django.jobs.interface.failures import EXPIRED
from tests.jobs.worker.lane_bench import Bench
from tests.waiting import wait_until


@pytest.fixture(params=[False, True], ids=["threads", "loop"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    bench = Bench(is_async=request.param, slots=2)
    yield bench
    bench.gate.set()
    bench.lane.stop()


def test_no_more_jobs_run_than_there_are_slots(bench: Bench) -> None:
    jobs = bench.submit(5)
    wait_until(lambda: len(bench.running) == 2)
    wait_until(lambda: bench.lane.waiting() == 3)
    assert (bench.lane.unfinished(), bench.lane.ended()) == (5, 0)
    bench.gate.set()
    wait_until(lambda: bench.lane.ended() == 5)
    assert bench.lane.unfinished() == 0
    assert sorted(one.job.id for one, _ending in bench.finished) == sorted(one.job.id for one in jobs)
    assert set(bench.kinds()) == {Completed}
    assert len(bench.sink.of(JobStarted)) == 5


def test_first_come_first_run(bench: Bench) -> None:
    jobs = bench.submit(4)
    # Of two threads that have taken a job each, either may be the first to say so.
    wait_until(lambda: len(bench.running) == 2)
    bench.gate.set()
    wait_until(lambda: bench.lane.ended() == 4)
    assert sorted(bench.running) == sorted(one.job.id for one in jobs)
    assert set(bench.running[:2]) == {one.job.id for one in jobs[:2]}


def test_what_has_not_started_can_be_taken_back(bench: Bench) -> None:
    bench.submit(5)
    wait_until(lambda: len(bench.running) == 2 and bench.lane.waiting() == 3)
    taken = bench.lane.take_waiting()
    assert len(taken) == 3
    assert all(one.started_at is None for one in taken)
    assert (bench.lane.waiting(), bench.lane.unfinished()) == (0, 2)
    bench.gate.set()
    wait_until(lambda: bench.lane.ended() == 2)
    assert len(bench.running) == 2
    assert bench.lane.unfinished() == 0


def test_a_process_that_may_not_start_gives_back(bench: Bench) -> None:
    bench.clearance.withdraw()
    bench.submit(3)
    wait_until(lambda: len(bench.finished) == 3)
    assert bench.kinds() == [GivenBack] * 3
    assert bench.running == []
    wait_until(lambda: bench.lane.unfinished() == 0)


def test_running_out_of_jobs_is_told(bench: Bench) -> None:
    bench.gate.set()
    bench.lane.low_water = 1
    bench.submit(4)
    wait_until(lambda: bench.lane.ended() == 4)
    wait_until(bench.agenda.woken.is_set)


def test_a_low_water_mark_below_zero_tells_nothing(bench: Bench) -> None:
    bench.gate.set()
    bench.submit(4)
    wait_until(lambda: bench.lane.ended() == 4)
    assert not bench.agenda.woken.is_set()


def test_running_jobs_end_after_a_stop(bench: Bench) -> None:
    bench.submit(2)
    wait_until(lambda: len(bench.running) == 2)
    bench.lane.stop()
    bench.gate.set()
    wait_until(lambda: len(bench.finished) == 2)
    assert bench.kinds() == [Completed] * 2


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_job_that_was_cancelled_or_deleted_while_it_waited_is_not_started(asynchronous: bool) -> None:
    bench = Bench(is_async=asynchronous, slots=1)
    running, cancelled, deleted = bench.submit(3)
    wait_until(lambda: bench.running)
    cancelled.context.request_cancel()
    deleted.unwanted = True
    bench.gate.set()
    wait_until(lambda: len(bench.finished) == 3)
    assert len(bench.running) == 1
    assert {held: type(ending) for held, ending in bench.finished} == {
        running: Completed,
        cancelled: Cancelled,
        deleted: GivenBack,
    }
    bench.lane.stop()


@pytest.mark.parametrize("is_async", [False, True], ids=["threads", "loop"])
def test_a_job_whose_deadline_passes_while_it_waits_for_a_slot_is_not_started(is_async: bool) -> None:
    bench = Bench(is_async=is_async, slots=1)
    running, late, in_time = bench.submit(3)
    wait_until(lambda: bench.running)
    late.expires_at = time.monotonic()
    in_time.expires_at = time.monotonic() + 3_600
    bench.gate.set()
    wait_until(lambda: len(bench.finished) == 3)
    assert bench.running == [running.job.id, in_time.job.id]
    ending = dict(bench.finished)[late]
    assert isinstance(ending, Cancelled)
    assert ending.failure.error_code == EXPIRED
    bench.lane.stop()


@pytest.mark.parametrize("is_async", [False, True], ids=["threads", "loop"])
def test_an_error_that_nobody_expected_ends_its_job_and_no_thread(is_async: bool) -> None:
    bench = Bench(is_async=is_async, slots=1)
    bench.gate.set()
    emit, broken = bench.sink.emit, ["JobStarted"]

    def break_once(event: Any) -> None:
        if type(event).__name__ in broken:
            broken.clear()
            raise RuntimeError("a sink that raises")
        emit(event)

    bench.sink.emit = break_once
    bench.submit(2)
    wait_until(lambda: len(bench.finished) == 2)
    assert bench.kinds() == [Retried, Completed]
    wait_until(lambda: bench.lane.unfinished() == 0)
    bench.lane.stop()
