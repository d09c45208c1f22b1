"""One process in which attempts run apart, and its worker's side: whatever it does, an attempt has its end."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pleme_redis_django import WorkerPoolConfig
from pleme_redis_django.exceptions import ExecutionFailed, JobTimeout
from pleme_redis_django.jobs.interface.bounds import Bounds
from pleme_redis_django.jobs.interface.context import JobContext
from pleme_redis_django.jobs.interface.endings import Cancelled, Completed, Retried
from pleme_redis_django.jobs.worker import isolated_process
from pleme_redis_django.jobs.worker.isolated_process import IsolatedProcess, IsolatedProgram, StartingThread
from pleme_redis_django.jobs.worker.isolation import ProcessDied
from pleme_redis_django.testing import MemoryJobStore
from tests.jobs.recording import claimed, context_of
from tests.waiting import DEADLINE_SECONDS, wait_for
from tests.worker_processes import process_runs

pytestmark = pytest.mark.process

STARTING = StartingThread()
MIB = 1024 * 1024


def start(
    *, greeting: dict[str, Any] | None = None, max_bytes: int = 64 * MIB, **config: Any
) -> IsolatedProcess:
    program = IsolatedProgram(
        arguments=[sys.executable, "-m", "tests.jobs.worker.apart_program"],
        environment=os.environ,
        greeting=greeting or {},
        max_message_bytes=max_bytes,
        config=WorkerPoolConfig(**config),
        message_of_job=lambda job: {
            name: getattr(job, name) for name in ("job_type", "parameters", "configuration")
        },
    )
    return IsolatedProcess(program, STARTING)


@pytest.fixture
def process() -> Iterator[IsolatedProcess]:
    started = start()
    yield started
    started.leave()
    started.end()


def attempt(
    process: IsolatedProcess,
    kind: str,
    parameters: dict[str, Any] | None = None,
    on_progress: Callable[[JobContext], None] = lambda _context: None,
    **bounds: Any,
) -> JobContext:
    job = claimed(MemoryJobStore(), job_type=kind, parameters=parameters or {}, configuration=bounds)
    context = context_of(job, on_progress)
    context.bounds = Bounds(isolated=True, **bounds)
    process.assign(context)
    return context


def run(process: IsolatedProcess, kind: str, **parameters: Any) -> Any:
    return process.run(attempt(process, kind, parameters))


class Running:
    """An attempt that runs in a thread of the worker, and has begun."""

    def __init__(self, process: IsolatedProcess, kind: str, **bounds: Any) -> None:
        begun = threading.Event()
        self.context = attempt(process, kind, on_progress=lambda _context: begun.set(), **bounds)
        self.outcome: Any = None
        self._process = process
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert begun.wait(DEADLINE_SECONDS)

    def _run(self) -> None:
        try:
            self.outcome = self._process.run(self.context)
        except ProcessDied as death:
            self.outcome = death

    def end(self) -> Any:
        wait_for(lambda: not self._thread.is_alive(), "the attempt ends")
        return self.outcome


def test_attempts_share_a_process(process: IsolatedProcess) -> None:
    first, second = run(process, "pid"), run(process, "pid")
    assert first.results_json == second.results_json != str(os.getpid())
    assert isinstance(run(process, "fail"), Retried)
    assert run(process, "pid").results_json == first.results_json


def test_large_results_come_whole(process: IsolatedProcess) -> None:
    ending = run(process, "big", length=5 * MIB)
    assert isinstance(ending, Completed) and len(ending.results_json) == 5 * MIB * 5 + 2


def test_a_message_that_is_too_long_ends_the_process() -> None:
    process = start(max_bytes=MIB)
    with pytest.raises(ProcessDied, match="a message of more than 1,048,576 bytes"):
        run(process, "big", length=5 * MIB)
    assert process.is_spent() and process.has_ended()
    process.leave()


def test_what_is_no_message_ends_the_process() -> None:
    process = start()
    with pytest.raises(ProcessDied, match=r"sent what is no message .*how do you do"):
        run(process, "babble")
    assert process.has_ended()
    process.leave()


def test_the_last_progress_comes_with_the_ending(process: IsolatedProcess) -> None:
    ending = run(process, "report")
    assert ending.progress == {"done": 1000, "total": 1000}


def test_a_death_shows_although_a_forked_process_holds_the_channel(tmp_path: Path) -> None:
    process, path = start(), tmp_path / "forked"
    with pytest.raises(ProcessDied, match="ended with exit code 9"):
        run(process, "fork", path=str(path))
    forked = int(path.read_text())
    assert process_runs(forked)
    os.kill(forked, signal.SIGKILL)
    process.leave()


def test_an_ending_that_was_sent_counts_although_the_process_has_died_since(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process = start()
    receive = process._channel.receive

    def late(timeout_seconds: float) -> Any:
        """Look only once the ending is there and the process is not."""
        monkeypatch.setattr(process._channel, "receive", receive)
        assert process._channel._poll.poll(DEADLINE_SECONDS * 1000)
        process._process.kill()
        process._process.wait()

    monkeypatch.setattr(process._channel, "receive", late)
    assert isinstance(run(process, "pid"), Completed)
    assert process.is_spent()
    process.leave()


def test_a_timeout_ends_a_sleep_and_keeps_the_process(process: IsolatedProcess) -> None:
    before = run(process, "pid")
    running = Running(process, "sleep", timeout=1)
    running.context.timed_out = True
    process.tell(running.context)
    assert running.end().failure.error_code == "timeout"
    assert run(process, "pid").results_json == before.results_json


def test_a_cancel_that_is_not_heeded_ends_the_process_after_kill_after() -> None:
    process = start()
    running = Running(process, "sleep_deaf", kill_after=0)
    running.context.request_cancel()
    process.tell(running.context)
    death = running.end()
    assert type(death.because).__name__ == "JobCancelled" and "in sleep_deaf" in death.trace
    process.leave()


def test_one_that_wants_no_interrupt_is_killed_by_its_timeout_alone() -> None:
    process = start()
    running = Running(process, "sleep", interrupt=False, kill_after=0)
    running.context.request_cancel()
    running.context.timed_out = True
    process.tell(running.context)
    process.kill(running.context, JobTimeout())
    assert isinstance(running.end().because, JobTimeout)
    process.leave()


def test_one_that_reports_without_end_is_killed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated_process, "LOOK_SECONDS", 3600)  # A report always comes sooner.
    process = start()
    running = Running(process, "report_for_ever")
    process.kill(running.context, JobTimeout())
    assert isinstance(running.end().because, JobTimeout)
    process.leave()


def test_a_kill_before_the_attempt_begins_is_not_lost() -> None:
    process = start()
    context = attempt(process, "sleep_deaf")
    process.kill(context, JobTimeout())
    with pytest.raises(ProcessDied) as died:
        process.run(context)
    assert isinstance(died.value.because, JobTimeout)
    process.leave()


def test_what_is_meant_for_an_attempt_never_hits_the_next_one(process: IsolatedProcess) -> None:
    pid = run(process, "pid").results_json
    for _ in range(200):
        context = attempt(process, "pid")
        context.timed_out = random.random() < 0.5
        late = threading.Thread(target=process.tell, args=(context,))
        late.start()
        ending = process.run(context)
        assert isinstance(ending, Completed) or ending.failure.error_code == "timeout"
        process.assign(None)
        process.kill(context, JobTimeout())
        assert run(process, "pid").results_json == pid
        late.join()


def test_a_process_that_is_cancelled_before_it_begins_never_runs(process: IsolatedProcess) -> None:
    context = attempt(process, "sleep_deaf")
    context.request_cancel()
    assert isinstance(process.run(context), Cancelled)


def test_a_process_that_does_not_start_says_so() -> None:
    with pytest.raises(ExecutionFailed, match="ended with exit code 3 before it was ready") as refused:
        start(greeting={"break": True})
    assert refused.value.error_code == "not_isolated"


def test_it_leaves_although_a_handler_left_a_thread() -> None:
    process = start()
    pid = int(run(process, "pid").results_json)
    run(process, "leave_a_thread")
    process.leave()
    wait_for(process.has_ended, "it ends")
    assert not process_runs(pid)


@pytest.mark.parametrize("limit", [{"max_jobs_per_process": 2}, {"max_process_memory_mb": 16}])
def test_a_limit_of_the_pool_is_one_of_the_process(limit: dict[str, Any]) -> None:
    process = start(**limit)
    assert not process.is_spent()
    run(process, "big", length=4 * MIB)
    run(process, "pid")
    assert process.is_spent()
    process.leave()
    process.end()
