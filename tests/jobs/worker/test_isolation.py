"""Which process an isolated attempt runs in, and which attempts never ask for one."""

from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django import JobStatus, WorkerPoolConfig
from pleme_redis_django.exceptions import ExecutionFailed, JobTimeout
from pleme_redis_django.jobs.interface.bounds import Bounds
from pleme_redis_django.jobs.interface.context import JobContext
from pleme_redis_django.jobs.interface.endings import Completed, Ending, Failed, Retried
from pleme_redis_django.jobs.worker.isolation import NOT_ISOLATED, NoIsolation, ProcessDied, WarmProcesses
from pleme_redis_django.jobs.worker.runner import JobRunner
from pleme_redis_django.testing import MemoryJobStore
from tests.jobs.pool_bench import Bench
from tests.jobs.recording import FunctionExecutor, claimed, context_of
from tests.waiting import wait_until


class Process:
    """A process that is none."""

    def __init__(self) -> None:
        self.context: JobContext | None = None
        self.ran: list[JobContext] = []
        self.said: list[str] = []
        self.raises: Exception | None = None
        self.spent = False

    def assign(self, context: JobContext | None) -> None:
        self.context = context

    def run(self, context: JobContext) -> Ending:
        assert self.context is context
        self.ran.append(context)
        if self.raises is not None:
            self.spent = True
            raise self.raises
        return Completed(job_id=context.job.id, claim=context.claim, results_json='"apart"')

    def tell(self, context: JobContext) -> None:
        self.said.append("tell")

    def kill(self, context: JobContext, because: BaseException) -> None:
        self.said.append(f"kill {type(because).__name__}")

    def is_spent(self) -> bool:
        return self.spent

    def leave(self) -> None:
        self.said.append("leave")

    def has_ended(self) -> bool:
        return False

    def end(self) -> None:
        self.said.append("end")


class Processes:
    def __init__(self) -> None:
        self.started: list[Process] = []

    def __call__(self) -> Process:
        self.started.append(Process())
        return self.started[-1]


@pytest.fixture
def processes() -> Processes:
    return Processes()


@pytest.fixture
def warm(processes: Processes) -> WarmProcesses:
    return WarmProcesses(processes)


def isolated_context() -> JobContext:
    context = context_of(claimed(MemoryJobStore()))
    context.bounds = Bounds(isolated=True)
    return context


def run_in(warm: WarmProcesses, context: JobContext | None = None) -> Ending:
    context = context or isolated_context()
    warm.reserve(context)
    return warm.run(context)


def test_one_process_runs_one_attempt_after_the_other(warm: WarmProcesses, processes: Processes) -> None:
    for _ in range(3):
        run_in(warm)
    assert [len(process.ran) for process in processes.started] == [3]


def test_attempts_at_once_have_a_process_each(warm: WarmProcesses, processes: Processes) -> None:
    first, second = isolated_context(), isolated_context()
    warm.reserve(first)
    warm.reserve(second)
    warm.run(first)
    warm.run(second)
    run_in(warm)
    assert [len(process.ran) for process in processes.started] == [1, 2]


def test_an_attempt_that_does_not_start_gives_its_process_back(
    warm: WarmProcesses, processes: Processes
) -> None:
    context = isolated_context()
    warm.reserve(context)
    warm.release(context)
    run_in(warm)
    assert len(processes.started) == 1


def test_a_process_that_died_or_reached_a_limit_is_not_used_again(
    warm: WarmProcesses, processes: Processes
) -> None:
    run_in(warm)
    processes.started[0].spent = True
    run_in(warm)
    processes.started[1].raises = ProcessDied("it died")
    with pytest.raises(ProcessDied):
        run_in(warm)
    run_in(warm)
    assert [process.said for process in processes.started] == [["leave"], ["leave"], []]


def test_only_the_process_of_the_attempt_is_told_and_killed(
    warm: WarmProcesses, processes: Processes
) -> None:
    mine, others = isolated_context(), isolated_context()
    warm.reserve(mine)
    warm.reserve(others)
    warm.tell(mine)
    assert warm.kill(mine, JobTimeout())
    assert not warm.kill(isolated_context(), JobTimeout())
    assert [process.said for process in processes.started] == [["tell", "kill JobTimeout"], []]


def test_the_end_of_the_worker_ends_every_process(warm: WarmProcesses, processes: Processes) -> None:
    running = isolated_context()
    warm.reserve(running)
    run_in(warm)
    warm.end_running()
    warm.stop()
    warm.release(running)
    assert [process.said for process in processes.started] == [
        ["kill JobCancelled", "leave"],
        ["leave", "end"],
    ]


def runner(isolation: Any, **options: Any) -> JobRunner:
    return JobRunner(FunctionExecutor(lambda job: "here"), WorkerPoolConfig(), isolation=isolation, **options)


def test_an_isolated_attempt_runs_in_its_process_and_others_do_not(warm: WarmProcesses) -> None:
    context = isolated_context()
    warm.reserve(context)
    ending = runner(warm).run(context)
    assert isinstance(ending, Completed) and ending.results_json == '"apart"'
    ending = runner(warm).run(context_of(claimed(MemoryJobStore())))
    assert isinstance(ending, Completed) and ending.results_json == '"here"'


def test_a_process_that_died_fails_the_attempt_like_any_failure(
    warm: WarmProcesses, processes: Processes
) -> None:
    context = isolated_context()
    warm.reserve(context)
    processes.started[0].raises = ProcessDied("It was killed.", trace="Current thread")
    ending = runner(warm).run(context)
    assert isinstance(ending, Retried) and ending.retry_count == 1
    assert (ending.failure.error_code, ending.failure.message) == ("worker_died", "It was killed.")
    assert ending.failure.traceback == "Current thread"


def test_a_process_that_was_killed_for_its_timeout_failed_by_it(
    warm: WarmProcesses, processes: Processes
) -> None:
    context = isolated_context()
    context.bounds = Bounds(isolated=True, timeout=2, retry_on_timeout=False)
    warm.reserve(context)
    processes.started[0].raises = ProcessDied("It was killed.", because=JobTimeout())
    ending = runner(warm).run(context)
    assert isinstance(ending, Failed)
    assert ending.failure.message == "The attempt ran for longer than its timeout of 2 s."


def test_a_worker_that_can_start_no_process_refuses() -> None:
    with pytest.raises(ExecutionFailed) as refused:
        NoIsolation().reserve(isolated_context())
    assert refused.value.error_code == NOT_ISOLATED


def test_a_pool_that_was_given_no_isolation_fails_the_attempt(bench: Bench) -> None:
    bench.add(1, configuration={"isolated": True}, max_retries=0)
    bench.pool().launch()
    wait_until(lambda: bench.store.all()[0].status is JobStatus.FAILED)
    assert bench.store.all()[0].error_details["error_code"] == "not_isolated"


def test_other_jobs_never_ask_for_a_process(bench: Bench) -> None:
    class Untouchable:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(name)

    pool = bench.pool(timeout=100)
    pool._parts.lanes[0]._duties.runner.isolation = Untouchable()
    bench.add(20)
    pool.launch()
    wait_until(lambda: set(bench.statuses()) == {JobStatus.COMPLETED})
    assert len(bench.ran) == 20
