"""Lanes: slots of threads and of an event loop, and what is taken back from them."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pleme_redis_django import WorkerPoolConfig
from pleme_redis_django.jobs.interface.endings import Cancelled, Completed, Ending, GivenBack, Retried
from pleme_redis_django.jobs.interface.events import JobStarted
from pleme_redis_django.jobs.interface.workers import WorkerDescription, WorkerIdentity
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.executing_page import ExecutingPage
from pleme_redis_django.jobs.worker.gate import Gate
from pleme_redis_django.jobs.worker.holdings import HeldJob
from pleme_redis_django.jobs.worker.lane import Lane
from pleme_redis_django.jobs.worker.lanes import LaneDuties, LoopLane, ThreadLane
from pleme_redis_django.jobs.worker.lease import EndlessLease
from pleme_redis_django.jobs.worker.runner import JobRunner
from pleme_redis_django.jobs.worker.time_limits import TimeLimits
from pleme_redis_django.testing import MemoryJobStore
from tests.jobs.recording import WORKER, AsyncFunctionExecutor, FunctionExecutor, RecordingSink, claimed, held
from tests.waiting import await_until, wait_until

DEADLINE_SECONDS = 10


class Bench:
    """A lane whose handlers wait until the test opens the gate."""

    def __init__(self, *, is_async: bool, slots: int) -> None:
        self.store = MemoryJobStore()
        self.sink = RecordingSink()
        self.gate = threading.Event()
        self.running: list[Any] = []
        self.finished: list[tuple[HeldJob, Ending]] = []
        self.agenda = Agenda(60)
        self.gate_of_process = Gate(
            EndlessLease(), WorkerIdentity(WorkerDescription(worker_id=WORKER)), self.agenda
        )
        self.functions: list[Callable[[Any], Any]] = []
        executor = AsyncFunctionExecutor(self._await) if is_async else FunctionExecutor(self._block)
        duties = LaneDuties(
            runner=JobRunner(executor, WorkerPoolConfig()),
            finish=lambda one, ending: self.finished.append((one, ending)),
            sink=self.sink,
            gate=self.gate_of_process,
            agenda=self.agenda,
            on_another_start=lambda: None,
            executing=ExecutingPage(slots, WORKER),
            limits=TimeLimits(self.agenda),
        )
        kind: Callable[..., Any] = LoopLane if is_async else ThreadLane
        self.lane: Lane = kind(slots, duties)
        self.lane.start()

    def submit(self, count: int) -> list[HeldJob]:
        jobs = [held(claimed(self.store)) for _ in range(count)]
        self.lane.submit(jobs)
        return jobs

    def kinds(self) -> list[type[Ending]]:
        return [type(ending) for _one, ending in self.finished]

    def _block(self, job: Any) -> None:
        self.running.append(job.id)
        assert self.gate.wait(DEADLINE_SECONDS)

    def run_async(self, function: Callable[[Any], Any], count: int = 1) -> list[HeldJob]:
        """Have the loop run ``function`` for the next jobs."""
        self.functions += [function] * count
        return self.submit(count)

    async def _await(self, job: Any) -> None:
        self.running.append(job.id)
        if self.functions:
            await self.functions.pop(0)(job)
            return
        await await_until(self.gate.is_set, "the gate opens")


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
    assert sorted(one.context.job.id for one, _ending in bench.finished) == sorted(
        one.context.job.id for one in jobs
    )
    assert set(bench.kinds()) == {Completed}
    assert len(bench.sink.of(JobStarted)) == 5


def test_first_come_first_run(bench: Bench) -> None:
    jobs = bench.submit(4)
    # Of two threads that have taken a job each, either may be the first to say so.
    wait_until(lambda: len(bench.running) == 2)
    bench.gate.set()
    wait_until(lambda: bench.lane.ended() == 4)
    assert sorted(bench.running) == sorted(one.context.job.id for one in jobs)
    assert set(bench.running[:2]) == {one.context.job.id for one in jobs[:2]}


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
    bench.gate_of_process.shut()
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


@pytest.fixture
def loop_bench() -> Iterator[Bench]:
    bench = Bench(is_async=True, slots=1)
    yield bench
    bench.gate.set()
    bench.lane.stop()


def test_a_running_async_job_can_be_cancelled(loop_bench: Bench) -> None:
    running, waiting = loop_bench.submit(2)
    wait_until(lambda: len(loop_bench.running) == 1)
    running.context.request_cancel()
    assert isinstance(loop_bench.lane, LoopLane)
    loop_bench.lane.cancel(running)
    wait_until(lambda: len(loop_bench.running) == 2)
    assert loop_bench.finished[0][0] is running
    assert loop_bench.kinds() == [Cancelled]
    loop_bench.gate.set()
    wait_until(lambda: len(loop_bench.finished) == 2)
    assert loop_bench.finished[1] == (waiting, loop_bench.finished[1][1])
    assert loop_bench.lane.unfinished() == 0


def test_a_job_that_is_cancelled_by_its_own_code_is_retried(loop_bench: Bench) -> None:
    (running,) = loop_bench.submit(1)
    wait_until(lambda: loop_bench.running)
    assert isinstance(loop_bench.lane, LoopLane)
    loop_bench.lane.cancel(running)
    wait_until(lambda: loop_bench.finished)
    assert loop_bench.kinds() == [Retried]


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


def test_cancelling_what_is_not_running_does_nothing(loop_bench: Bench) -> None:
    _running, waiting = loop_bench.submit(2)
    wait_until(lambda: loop_bench.running)
    assert isinstance(loop_bench.lane, LoopLane)
    loop_bench.lane.cancel(waiting)
    loop_bench.gate.set()
    wait_until(lambda: len(loop_bench.finished) == 2)
    assert loop_bench.kinds() == [Completed] * 2


def test_many_async_jobs_run_at_once() -> None:
    bench = Bench(is_async=True, slots=200)
    bench.submit(200)
    wait_until(lambda: len(bench.running) == 200)
    bench.gate.set()
    wait_until(lambda: bench.lane.ended() == 200)
    bench.lane.stop()


async def _exits(job: Any) -> None:
    async def leave() -> None:
        raise SystemExit(3)

    async with asyncio.TaskGroup() as group:
        group.create_task(leave())


async def _exits_in_a_callback(job: Any) -> None:
    asyncio.get_running_loop().call_soon(sys.exit, 3)
    await asyncio.sleep(0)


async def _stops_the_loop(job: Any) -> None:
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("function", "kind"),
    [(_exits, Retried), (_exits_in_a_callback, Completed), (_stops_the_loop, Completed)],
)
def test_a_job_that_stops_the_event_loop_stops_no_other(
    function: Callable[[Any], Any], kind: type[Ending]
) -> None:
    bench = Bench(is_async=True, slots=3)
    (neighbour,) = bench.submit(1)
    wait_until(lambda: bench.running)
    (stopper,) = bench.run_async(function)
    wait_until(lambda: bench.finished)
    assert [(one, type(ending)) for one, ending in bench.finished] == [(stopper, kind)]
    (later,) = bench.submit(1)
    bench.gate.set()
    wait_until(lambda: len(bench.finished) == 3)
    assert {one for one, _ending in bench.finished} == {stopper, neighbour, later}
    bench.lane.stop()
    assert isinstance(bench.lane, LoopLane)
    bench.lane._thread.join(DEADLINE_SECONDS)
    assert not bench.lane._thread.is_alive()


def test_a_generator_exit_out_of_an_awaited_task_ends_its_job() -> None:
    async def closed() -> None:
        raise GeneratorExit

    async def awaits(job: Any) -> None:
        await asyncio.ensure_future(closed())

    bench = Bench(is_async=True, slots=1)
    (one,) = bench.run_async(awaits)
    wait_until(lambda: bench.finished)
    assert [(held, type(ending)) for held, ending in bench.finished] == [(one, Retried)]
    wait_until(lambda: bench.lane.unfinished() == 0)
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

    bench.sink.emit = break_once  # type: ignore[method-assign]
    bench.submit(2)
    wait_until(lambda: len(bench.finished) == 2)
    assert bench.kinds() == [Retried, Completed]
    wait_until(lambda: bench.lane.unfinished() == 0)
    bench.lane.stop()
