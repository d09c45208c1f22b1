"""Timeouts and cancels of running handlers, in a whole pool on a store in memory."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from pleme_redis_django import JobCancelled, JobStatus, current_job_context
from pleme_redis_django.exceptions import JobTimeout
from pleme_redis_django.jobs.definitions.declaring import definition_of
from pleme_redis_django.jobs.interface.events import EndingRefused, JobStarted, RecycleBegun
from tests.jobs.pool_bench import Bench
from tests.jobs.recording import AsyncFunctionExecutor, FunctionExecutor, TypedExecutor
from tests.waiting import wait_until

SHORT_SECONDS = 0.05


def spin(job: Any) -> None:
    while True:
        pass


def ended(bench: Bench) -> Any:
    """Return the only job of the store once its attempt has ended."""
    wait_until(lambda: bench.store.all()[0].status is not JobStatus.RUNNING and bench.store.all()[0].attempt)
    return bench.store.all()[0]


def test_a_sync_handler_is_interrupted_at_its_timeout_and_retried(bench: Bench) -> None:
    bench.add(1, timeout_seconds=SHORT_SECONDS)
    bench.pool(FunctionExecutor(spin)).launch()
    job = ended(bench)
    assert (job.status, job.retry_count) == (JobStatus.PENDING, 1)
    assert job.error_details["error_code"] == "timeout"
    assert job.error_message == "The attempt ran for longer than its timeout of 0.05 s."


def test_an_async_handler_is_cancelled_at_its_timeout(bench: Bench) -> None:
    async def wait_for_ever(job: Any) -> None:
        await asyncio.Event().wait()

    bench.add(1, timeout_seconds=SHORT_SECONDS)
    bench.pool(AsyncFunctionExecutor(wait_for_ever)).launch()
    job = ended(bench)
    assert (job.status, job.error_details["error_code"]) == (JobStatus.PENDING, "timeout")


def test_the_timeout_of_the_pool_counts_where_the_job_says_none(bench: Bench) -> None:
    bench.add(1)
    bench.pool(FunctionExecutor(spin), timeout=SHORT_SECONDS, retry_on_timeout=False).launch()
    job = ended(bench)
    assert (job.status, job.error_details["error_code"]) == (JobStatus.FAILED, "timeout")


def test_a_job_may_refuse_the_retry_after_a_timeout(bench: Bench) -> None:
    bench.add(1, timeout_seconds=SHORT_SECONDS, configuration={"retry_on_timeout": False})
    bench.pool(FunctionExecutor(spin)).launch()
    assert ended(bench).status is JobStatus.FAILED


def test_an_except_exception_does_not_eat_the_timeout(bench: Bench) -> None:
    def careless(job: Any) -> None:
        while True:
            try:
                spin(job)
            except Exception:
                continue

    bench.add(1, timeout_seconds=SHORT_SECONDS)
    bench.pool(FunctionExecutor(careless)).launch()
    assert ended(bench).error_details["error_code"] == "timeout"


def test_what_a_handler_makes_of_a_timeout_is_a_timeout(bench: Bench) -> None:
    def translating(job: Any) -> None:
        try:
            spin(job)
        except JobTimeout:
            raise KeyError("the supplier") from None

    bench.add(1, timeout_seconds=SHORT_SECONDS)
    bench.pool(FunctionExecutor(translating)).launch()
    job = ended(bench)
    assert (job.error_details["error_code"], job.error_details["exception_class"]) == (
        "timeout",
        "builtins.KeyError",
    )


def test_a_handler_called_directly_by_another_is_a_part_of_it(bench: Bench) -> None:
    """No timeout of its own begins, and the outer one ends both."""

    def outer(job: Any) -> None:
        spin(job)

    bench.add(1, timeout_seconds=SHORT_SECONDS)
    bench.pool(FunctionExecutor(outer)).launch()
    assert ended(bench).error_details["error_code"] == "timeout"


def seconds_left() -> float | None:
    context = current_job_context()
    assert context is not None
    return context.remaining()


@pytest.mark.parametrize("outer_timeout", [None, 600.0])
def test_the_timeout_of_a_job_that_is_called_directly_does_not_count(
    bench: Bench, outer_timeout: float | None
) -> None:
    inner = definition_of(seconds_left, timeout=0.001, kill_after=0)
    bench.add(1, timeout_seconds=outer_timeout)
    bench.pool(FunctionExecutor(lambda job: inner())).launch()
    job = ended(bench)
    assert job.status is JobStatus.COMPLETED
    assert job.results is None if outer_timeout is None else 1 < job.results <= outer_timeout


def test_a_handler_may_ask_for_the_flag_alone(bench: Bench) -> None:
    seen: list[float] = []

    def heeds(job: Any) -> str:
        context = current_job_context()
        assert context is not None
        while (remaining := context.remaining()) is None or remaining > 0:
            seen.append(remaining or 0)
        assert context.timed_out or remaining <= 0
        return "in good order"

    bench.add(1, timeout_seconds=SHORT_SECONDS, configuration={"interrupt": False})
    bench.pool(FunctionExecutor(heeds)).launch()
    job = ended(bench)
    assert (job.status, job.results) == (JobStatus.COMPLETED, "in good order")
    assert max(seen) <= SHORT_SECONDS


def test_a_job_without_a_timeout_has_no_remaining_time(bench: Bench) -> None:
    seen: list[Any] = []
    bench.add(1)
    bench.pool(FunctionExecutor(lambda job: seen.append(current_job_context().remaining()))).launch()
    assert ended(bench).status is JobStatus.COMPLETED
    assert seen == [None]


def test_a_cancel_interrupts_a_running_sync_handler(bench: Bench) -> None:
    bench.add(1)
    bench.pool(FunctionExecutor(spin), lease_sweep_seconds=0.05).launch()
    wait_until(lambda: bench.sink.of(JobStarted))
    bench.store.request_cancel(bench.store.all()[0].id)
    job = ended(bench)
    assert (job.status, job.error_message) == (JobStatus.CANCELLED, "The job was cancelled while it ran.")


def test_a_cancel_leaves_a_handler_alone_that_wants_no_interrupt(bench: Bench) -> None:
    def heeds(job: Any) -> None:
        context = current_job_context()
        assert context is not None
        wait_until(lambda: context.cancel_requested)
        raise JobCancelled("at a good place")

    bench.add(1, configuration={"interrupt": False})
    bench.pool(FunctionExecutor(heeds), lease_sweep_seconds=0.05).launch()
    wait_until(lambda: bench.sink.of(JobStarted))
    bench.store.request_cancel(bench.store.all()[0].id)
    assert ended(bench).error_message == "at a good place"


def test_a_thread_that_never_comes_back_costs_its_process_and_no_neighbour(bench: Bench) -> None:
    """It waits where no bytecode runs: the pool ends the attempt, claims no more, and lets the neighbour end."""
    stuck, neighbour = threading.Event(), threading.Event()

    def wait_in_c(job: Any) -> None:
        stuck.wait()

    def work(job: Any) -> str:
        assert neighbour.wait(20)
        return "done"

    pool = bench.pool(TypedExecutor({"stuck": wait_in_c, "neighbour": work}, {}))
    bench.store.add("stuck", timeout_seconds=SHORT_SECONDS, configuration={"kill_after": 0.05})
    bench.store.add("neighbour")
    bench.hints.nudge()
    pool.launch()
    try:
        wait_until(lambda: bench.sink.of(RecycleBegun) and bench.store.all()[0].error_details)
        hanging, running = bench.store.all()
        assert (hanging.status, hanging.error_details["error_code"]) == (JobStatus.PENDING, "timeout")
        assert running.status is JobStatus.RUNNING
        neighbour.set()
        pool._shutdown.is_over.wait(20)
        assert bench.store.all()[1].status is JobStatus.COMPLETED
        assert "did not heed its timeout" in bench.sink.of(RecycleBegun)[0].reason
        assert bench.sink.of(EndingRefused) == []
    finally:
        stuck.set()


def test_an_async_handler_that_swallows_its_cancel_is_given_up(bench: Bench) -> None:
    over = asyncio.Event()

    async def stubborn(job: Any) -> None:
        while True:
            try:
                await over.wait()
            except asyncio.CancelledError:
                continue

    bench.add(1, timeout_seconds=SHORT_SECONDS, configuration={"kill_after": 0.05})
    bench.pool(AsyncFunctionExecutor(stubborn)).launch()
    wait_until(lambda: bench.sink.of(RecycleBegun))
    wait_until(lambda: bench.store.all()[0].error_details)
    assert ended(bench).error_details["error_code"] == "timeout"


@pytest.mark.parametrize("timeout", [-1, 0, float("nan"), 10**12, "5", True], ids=repr)
def test_a_row_whose_timeout_is_none_runs_without(bench: Bench, timeout: Any) -> None:
    bench.add(1, timeout_seconds=timeout, configuration={"kill_after": "soon", "interrupt": 1})
    bench.pool().launch()
    assert ended(bench).status is JobStatus.COMPLETED
