"""A pool on a store in memory, with everything that it talks to: what tests of the engine share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from pleme_redis_django import JobStatus, WorkerPool, WorkerPoolConfig
from pleme_redis_django.jobs.worker.executing_page import JobExecuted, SeenDeath
from pleme_redis_django.jobs.worker.suspects import SuspectRule
from pleme_redis_django.testing import MemoryJobStore
from tests.jobs.recording import (
    FunctionExecutor,
    MemoryHints,
    MemoryRegistry,
    RecordingSink,
)

DEADLINE_SECONDS = 10
# Nothing in these tests waits for a scan: what has to be woken is woken.
NEVER_SECONDS = 3_000
MakePool = Callable[..., WorkerPool[Any]]


class CallsOfATest:
    """WorkerCalls in memory."""

    def __init__(self) -> None:
        self._called = threading.Semaphore(0)

    def call(self) -> None:
        self._called.release()

    def wait_for_call(self, worker_id: str, timeout_seconds: float) -> bool:
        return self._called.acquire(timeout=0.5)


class Bench:
    def __init__(self) -> None:
        self.store = MemoryJobStore()
        self.sink = RecordingSink()
        self.hints = MemoryHints()
        self.registry = MemoryRegistry()
        self.calls: CallsOfATest | None = None
        self.ran: list[Any] = []
        self.pools: list[WorkerPool[Any]] = []

    def pool(
        self,
        executor: Any = None,
        *,
        burst: bool = False,
        suspects: SuspectRule = SuspectRule.BESIDE,
        has_supervisor: bool = False,
        **config: Any,
    ) -> WorkerPool[Any]:
        settings = {"worker_count": 2, "poll_timeout": NEVER_SECONDS, "grace_seconds": 10, **config}
        pool: WorkerPool[Any] = WorkerPool(
            WorkerPoolConfig(**settings),
            self.hints,
            executor or FunctionExecutor(self.note),
            self.store,
            registry=self.registry,
            calls=self.calls,
            sink=self.sink,
            burst=burst,
            suspects=suspects,
            has_supervisor=has_supervisor,
        )
        self.pools.append(pool)
        return pool

    def note(self, job: Any) -> str:
        self.ran.append(job.id)
        return "done"

    def statuses(self) -> list[JobStatus]:
        return [job.status for job in self.store.all()]

    def add(self, count: int, **fields: Any) -> None:
        for _ in range(count):
            self.store.add(**fields)
        self.hints.nudge()


def unlaunched(bench: Bench, executor: Any) -> WorkerPool[Any]:
    """Return a pool whose claimer the test turns by hand; its lanes run nothing."""
    config = WorkerPoolConfig(worker_count=2, poll_timeout=NEVER_SECONDS)
    return WorkerPool(config, bench.hints, executor, bench.store, sink=bench.sink)


DEAD = "22222222-2222-4222-8222-222222222222"


def death_with(*jobs: Any) -> SeenDeath:
    """The death of DEAD, which was executing these of its jobs."""
    return SeenDeath(worker_id=DEAD, executing=frozenset(JobExecuted(job.id, job.attempt) for job in jobs))
