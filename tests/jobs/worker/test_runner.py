"""One attempt: whatever a handler does, an ending comes out of it and nothing is raised."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from typing import Any

import pytest
from django.core.cache import caches
from django.utils import timezone, translation

from pleme_redis_django import (
    ExecutionFailed,
    InvalidParameters,
    JobCancelled,
    ProviderError,
    WorkerPoolConfig,
    current_job_context,
)
from pleme_redis_django.jobs.interface.context import JobContext
from pleme_redis_django.jobs.interface.endings import Cancelled, Completed, Ending, Failed, Retried
from pleme_redis_django.jobs.worker.retry_delays import retry_delay
from pleme_redis_django.jobs.worker.runner import JobRunner
from pleme_redis_django.orm_store import DatabaseScope
from pleme_redis_django.testing import MemoryJob, MemoryJobStore
from tests.jobs.recording import AsyncFunctionExecutor, FunctionExecutor, claimed, context_of

CONFIG = WorkerPoolConfig()


class Run:
    """Runs a function as a sync handler, or as an async one."""

    def __init__(self, *, is_async: bool) -> None:
        self._is_async = is_async

    async def __call__(
        self, function: Callable[[Any], Any], job: MemoryJob | None = None, **options: Any
    ) -> Any:
        context = context_of(job or claimed(MemoryJobStore()))
        if not self._is_async:
            return JobRunner(FunctionExecutor(function), CONFIG, **options).run(context)

        async def handler(job: Any) -> Any:
            await asyncio.sleep(0)
            return function(job)

        return await JobRunner(AsyncFunctionExecutor(handler), CONFIG, **options).arun(context)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def run(request: pytest.FixtureRequest) -> Run:
    return Run(is_async=request.param)


async def test_a_result_completes_the_job(run: Run) -> None:
    job = claimed(MemoryJobStore())
    ending = await run(lambda job: {"sent": [1, 2]}, job)
    assert isinstance(ending, Completed)
    assert (ending.job_id, ending.claim, ending.results_json) == (job.id, job.claim, '{"sent":[1,2]}')
    assert ending.run_seconds >= 0


async def test_no_result_is_null(run: Run) -> None:
    assert (await run(lambda job: None)).results_json == "null"


@pytest.mark.parametrize(
    "result",
    [object(), {"a": (1,)}, float("nan"), "nul \x00", "\ud800", {1: 2}, "x" * 2_000_000, b"x"],
    ids=lambda result: type(result).__name__,
)
async def test_a_result_that_cannot_be_stored_fails_for_good(run: Run, result: Any) -> None:
    ending = await run(lambda job: result)
    assert isinstance(ending, Failed)
    assert ending.failure.error_code == "invalid_result"
    assert "test returned a result that cannot be stored" in ending.failure.message


async def test_the_size_limit_of_results(run: Run) -> None:
    assert isinstance(await run(lambda job: "x" * 8, max_results_bytes=10), Completed)
    assert isinstance(await run(lambda job: "x" * 9, max_results_bytes=10), Failed)


def raiser(error: BaseException) -> Callable[[Any], Any]:
    def function(job: Any) -> None:
        raise error

    return function


@pytest.mark.parametrize("error", [ExecutionFailed("x"), KeyError("x"), SystemExit(1)], ids=repr)
async def test_an_error_is_retried_with_its_backoff(run: Run, error: BaseException) -> None:
    ending = await run(raiser(error), claimed(MemoryJobStore(), retry_count=1, max_retries=2))
    assert isinstance(ending, Retried)
    assert ending.retry_count == 2
    assert 120 <= ending.delay_seconds <= 132


async def test_without_retries_left_it_fails(run: Run) -> None:
    ending = await run(raiser(ExecutionFailed("x")), claimed(MemoryJobStore(), retry_count=2, max_retries=2))
    assert isinstance(ending, Failed)


async def test_wrong_input_is_not_retried(run: Run) -> None:
    ending = await run(raiser(InvalidParameters("no such user")))
    assert isinstance(ending, Failed)
    assert ending.failure.error_code == "invalid_parameters"


async def test_a_handler_may_cancel_its_job(run: Run) -> None:
    assert isinstance(await run(raiser(JobCancelled("no longer wanted"))), Cancelled)


async def test_the_last_progress_rides_with_the_ending(run: Run) -> None:
    def report(job: Any) -> None:
        context = current_job_context()
        assert context is not None
        context.progress(1, 2)
        context.progress(2, 2)

    assert (await run(report)).progress == {"done": 2, "total": 2}


async def test_the_context_is_there_while_the_handler_runs_and_gone_after(run: Run) -> None:
    found: list[JobContext | None] = []
    await run(lambda job: found.append(current_job_context()))
    assert isinstance(found[0], JobContext)
    assert current_job_context() is None


class BrokenRules(FunctionExecutor):
    def retry_rules(self, job_type: str) -> Any:
        raise RuntimeError("no rules for you")


class BrokenJob(MemoryJob):
    def can_retry(self) -> bool:
        raise RuntimeError("cannot say")


class BrokenScope:
    """A scope that fails where it is asked to."""

    def __init__(self, where: str) -> None:
        self._where = where

    def _fail(self, where: str) -> None:
        if where == self._where:
            raise RuntimeError(f"broken in {where}")

    def enter(self) -> None:
        self._fail("enter")

    def leave(self) -> None:
        self._fail("leave")

    def around_async(self) -> AbstractAsyncContextManager[None]:
        return self._around()

    @asynccontextmanager
    async def _around(self) -> AsyncIterator[None]:
        self._fail("enter")
        yield
        self._fail("leave")


async def test_broken_rules_of_an_executor_end_the_attempt_not_the_thread() -> None:
    runner = JobRunner(BrokenRules(raiser(KeyError("x"))), CONFIG)
    for ending in (
        runner.run(context_of(claimed(MemoryJobStore()))),
        await runner.arun(context_of(claimed(MemoryJobStore()))),
    ):
        assert isinstance(ending, Failed)
        assert "KeyError" in ending.failure.traceback


async def test_a_broken_job_model_ends_the_attempt_not_the_thread(run: Run) -> None:
    job = BrokenJob(status=claimed(MemoryJobStore()).status, worker_id="w", attempt=1)
    assert isinstance(await run(raiser(KeyError("x")), job), Failed)


@pytest.mark.parametrize("delay", ["soon", -5, None, float("nan"), [1]], ids=repr)
async def test_a_hostile_delay_in_the_row_ends_the_attempt_not_the_thread(run: Run, delay: Any) -> None:
    job = claimed(MemoryJobStore(), configuration={"base_retry_delay": delay})
    ending = await run(raiser(KeyError("x")), job)
    assert isinstance(ending, Failed | Retried)
    if isinstance(ending, Retried):
        assert ending.delay_seconds >= 0


@pytest.mark.parametrize("where", ["enter", "leave"])
async def test_a_broken_scope_raises_nothing(run: Run, where: str) -> None:
    ending = await run(lambda job: "done", scope=BrokenScope(where))
    assert isinstance(ending, Ending)
    if where == "enter":
        assert isinstance(ending, Retried)


async def test_an_async_handler_in_a_thread_is_run_to_its_end() -> None:
    async def handler(job: Any) -> str:
        await asyncio.sleep(0)
        return "awaited"

    runner = JobRunner(AsyncFunctionExecutor(handler), CONFIG)
    ending = await asyncio.to_thread(runner.run, context_of(claimed(MemoryJobStore())))
    assert isinstance(ending, Completed)
    assert ending.results_json == '"awaited"'


async def test_a_cancelled_task_of_a_job_that_was_cancelled() -> None:
    started = asyncio.Event()

    async def handler(job: Any) -> None:
        started.set()
        await asyncio.Event().wait()

    context = context_of(claimed(MemoryJobStore()))
    task = asyncio.create_task(JobRunner(AsyncFunctionExecutor(handler), CONFIG).arun(context))
    await started.wait()
    context.request_cancel()
    task.cancel()
    assert isinstance(await task, Cancelled)


def test_a_failed_attempt_of_a_job_that_was_cancelled_is_not_retried() -> None:
    context = context_of(claimed(MemoryJobStore(), max_retries=3))

    def handler(job: Any) -> None:
        context.request_cancel()
        raise ProviderError("gave up half-way")

    ending = JobRunner(FunctionExecutor(handler), CONFIG).run(context)
    assert isinstance(ending, Cancelled)
    assert ending.failure.message == "gave up half-way"


def test_the_jobs_own_base_delay_wins_over_the_pools() -> None:
    job = MemoryJob(retry_count=1, configuration={"base_retry_delay": 5})
    assert retry_delay(job, CONFIG) == 10
    assert retry_delay(MemoryJob(retry_count=1), CONFIG) == 120
    assert retry_delay(MemoryJob(retry_count=9), WorkerPoolConfig(max_retry_delay=100)) == 100


TENANT: ContextVar[str | None] = ContextVar("tenant", default=None)


def test_what_a_sync_handler_sets_is_gone_before_the_next_job() -> None:
    """A tenant, a language and a time zone of one job are nobody's business in the next one."""
    seen: list[Any] = []

    def handler(job: Any) -> None:
        seen.append((TENANT.get(), translation.get_language(), timezone.get_current_timezone_name()))
        TENANT.set("alpha")
        translation.activate("de")
        timezone.activate("Asia/Tokyo")
        assert current_job_context() is not None

    store = MemoryJobStore()
    runner = JobRunner(FunctionExecutor(handler), WorkerPoolConfig())
    for _ in range(2):
        assert isinstance(runner.run(context_of(claimed(store))), Completed)
    assert seen[0] == seen[1]
    assert seen[0][0] is None
    assert current_job_context() is None


def test_a_thread_makes_its_caches_once_for_all_jobs() -> None:
    """Their connections would otherwise be opened, and left open, in each job."""
    seen: list[Any] = []
    store = MemoryJobStore()
    runner = JobRunner(
        FunctionExecutor(lambda job: seen.append(caches["default"])),
        WorkerPoolConfig(),
        scope=DatabaseScope(),
    )
    for _ in range(2):
        runner.run(context_of(claimed(store)))
    assert seen[0] is seen[1]


def test_a_cancel_in_a_task_group_cancels_the_job() -> None:
    def handler(job: Any) -> None:
        raise ExceptionGroup("tasks", [JobCancelled("as asked")])

    ending = JobRunner(FunctionExecutor(handler), WorkerPoolConfig()).run(
        context_of(claimed(MemoryJobStore()))
    )
    assert isinstance(ending, Cancelled)
