"""What engine tests share: a sink that remembers, an executor of plain functions, a held job."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pleme_redis_django.jobs.interface.context import JobContext
from pleme_redis_django.jobs.interface.events import Event
from pleme_redis_django.jobs.interface.job import AnyJob, JobClaim
from pleme_redis_django.jobs.interface.workers import WorkerDescription, WorkerStanding
from pleme_redis_django.jobs.worker.holdings import HeldJob
from pleme_redis_django.testing import MemoryJob, MemoryJobStore

E = TypeVar("E")

WORKER = "11111111-1111-4111-8111-111111111111"


class RecordingSink:
    """Remembers every event."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]


class FunctionExecutor:
    """Runs every job by calling ``function(job)``."""

    def __init__(self, function: Callable[[AnyJob], Any] = lambda job: None) -> None:
        self.function = function

    def execute(self, job: AnyJob) -> Any:
        return self.function(job)


class AsyncFunctionExecutor(FunctionExecutor):
    """Awaits ``function(job)``."""

    async def execute(self, job: AnyJob) -> Any:
        return await self.function(job)


class TypedExecutor:
    """Dispatches on the job's type, to functions of which some are async."""

    def __init__(self, sync: dict[str, Any], asynchronous: dict[str, Any]) -> None:
        self._sync, self._async = sync, asynchronous

    def execute(self, job: AnyJob) -> Any:
        return {**self._sync, **self._async}[job.job_type](job)

    def sync_job_types(self) -> frozenset[str]:
        return frozenset(self._sync)

    def async_job_types(self) -> frozenset[str]:
        return frozenset(self._async)


class MemoryRegistry:
    """A WorkerRegistry whose answers a test chooses."""

    def __init__(self) -> None:
        self.registered: list[str] = []
        self.beats: list[tuple[str, int]] = []
        self.deregistered: list[str] = []
        self.draining: list[str] = []
        self.declared: list[str] = []
        self.forgotten: list[str] = []
        self.dead: list[str] = []
        self.elections: list[tuple[str, float]] = []
        self.alive = True
        self.standing = WorkerStanding.ALIVE
        self.elected = True
        self.error: Exception | None = None

    def register(self, worker: WorkerDescription) -> None:
        self._answer()
        self.registered.append(worker.worker_id)

    def heartbeat(self, worker_id: str, running: int, async_running: int = 0) -> WorkerStanding:
        self._answer()
        self.beats.append((worker_id, running))
        return self.standing if self.alive else WorkerStanding.DEAD

    def deregister(self, worker_id: str) -> None:
        self._answer()
        self.deregistered.append(worker_id)

    def note_draining(self, worker_id: str, reason: str = "") -> None:
        self._answer()
        self.draining.append(worker_id)

    def draining_among(self, worker_ids: Sequence[str]) -> frozenset[str]:
        return frozenset(self.draining).intersection(worker_ids)

    def declare_dead(self, worker_ids: Sequence[str]) -> None:
        self.declared += worker_ids

    def forget(self, worker_ids: Sequence[str]) -> None:
        self.forgotten += worker_ids

    def sweep(self) -> Sequence[str]:
        return self.dead

    def elect(self, role: str, worker_id: str, term_seconds: float) -> bool:
        self.elections.append((role, term_seconds))
        return self.elected

    def _answer(self) -> None:
        if self.error is not None:
            raise self.error


class MemoryHints:
    """A HintQueue in memory."""

    def __init__(self) -> None:
        self._some = threading.Event()
        self.nudges = 0
        self.error: Exception | None = None

    def wait_for_hint(self, timeout_seconds: float) -> bool:
        if self.error is not None:
            raise self.error
        if not self._some.wait(min(timeout_seconds, 1.0)):
            return False
        self._some.clear()
        return True

    def nudge(self) -> bool:
        self.nudges += 1
        self._some.set()
        return True


def claimed(store: MemoryJobStore, worker_id: str = WORKER, **fields: Any) -> MemoryJob:
    """Add a job and claim it."""
    store.add(**fields)
    job = store.claim_next_job(worker_id)
    assert job is not None
    return job


def context_of(
    job: MemoryJob, on_progress: Callable[[JobContext], None] = lambda context: None
) -> JobContext:
    assert job.claim is not None
    return JobContext(job, job.claim, on_progress)


def held(job: MemoryJob, *, started: bool = False) -> HeldJob:
    """Return the job as a process holds it."""
    one = HeldJob(context_of(job), time.monotonic())
    one.started_at = time.monotonic() if started else None
    return one


def claim_by(worker_id: str = WORKER, attempt: int = 1) -> JobClaim:
    return JobClaim(worker_id=worker_id, attempt=attempt)
