"""The lane of async handlers: cancelling, and what a handler may do to the event loop."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pleme_redis_django.jobs.interface.endings import Cancelled, Completed, Ending, Retried
from pleme_redis_django.jobs.worker.loop_lane import LoopLane
from tests.jobs.worker.lane_bench import DEADLINE_SECONDS, Bench
from tests.waiting import wait_until


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
