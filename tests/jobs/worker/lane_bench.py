"""A lane by itself, with handlers that wait until the test lets them end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from pleme_redis_django import WorkerPoolConfig
from pleme_redis_django.jobs.interface.endings import Ending
from pleme_redis_django.jobs.interface.workers import WorkerDescription, WorkerIdentity
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.clearance import Clearance
from pleme_redis_django.jobs.worker.executing_page import ExecutingPage
from pleme_redis_django.jobs.worker.holdings import HeldJob
from pleme_redis_django.jobs.worker.lane import Lane
from pleme_redis_django.jobs.worker.lanes import LaneDuties
from pleme_redis_django.jobs.worker.lease import EndlessLease
from pleme_redis_django.jobs.worker.loop_lane import LoopLane
from pleme_redis_django.jobs.worker.runner import JobRunner
from pleme_redis_django.jobs.worker.thread_lane import ThreadLane
from pleme_redis_django.jobs.worker.time_limits import TimeLimits
from pleme_redis_django.testing import MemoryJobStore
from tests.jobs.recording import WORKER, AsyncFunctionExecutor, FunctionExecutor, RecordingSink, claimed, held
from tests.waiting import await_until

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
        self.clearance = Clearance(
            EndlessLease(), WorkerIdentity(WorkerDescription(worker_id=WORKER)), self.agenda
        )
        self.functions: list[Callable[[Any], Any]] = []
        executor = AsyncFunctionExecutor(self._await) if is_async else FunctionExecutor(self._block)
        duties = LaneDuties(
            runner=JobRunner(executor, WorkerPoolConfig()),
            finish=lambda one, ending: self.finished.append((one, ending)),
            sink=self.sink,
            clearance=self.clearance,
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
