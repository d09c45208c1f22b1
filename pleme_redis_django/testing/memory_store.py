"""MemoryJobStore: a complete JobStore in the memory of one process, for tests without a database.

It keeps every promise of the contract, batch forms included, and forgets everything with the
process. Its clock can be given, so that delays and silence need no waiting.
"""

from __future__ import annotations

import copy
import dataclasses
import threading
import time
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any
from uuid import UUID

from pleme_redis_django.exceptions import JobNotFound
from pleme_redis_django.jobs.interface.batch_store import BatchJobStore
from pleme_redis_django.jobs.interface.endings import Completed, Ending, Failure, GivenBack, Retried, Snoozed
from pleme_redis_django.jobs.interface.failures import EXPIRED, EXPIRED_NOTICE, engine_failure
from pleme_redis_django.jobs.interface.fair_shares import FairShares
from pleme_redis_django.jobs.interface.job import (
    SUSPECT_AFTER_CRASHES,
    SUSPECT_AFTER_UNSEEN_DEATHS,
    WAITING_STATUSES,
    AnyJob,
    JobClaim,
    JobStatus,
    QueuedJob,
)
from pleme_redis_django.jobs.interface.json_text import from_json
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.jobs.interface.store import ORPHANED_AFTER_SECONDS, ORPHANS_LIMIT, HeldRow, Outlook
from pleme_redis_django.testing.memory_job import MemoryJob, claim_order, claim_order_of
from pleme_redis_django.testing.memory_limits import MemoryLimits
from pleme_redis_django.testing.memory_rates import MemoryRates, waits_for_token
from pleme_redis_django.testing.memory_turns import first_in_turn


class MemoryJobStore(BatchJobStore[MemoryJob]):
    """Jobs in a dict under a lock. What it returns are copies: changing one changes nothing here.

    ``clock`` returns seconds; give a ``ManualClock`` to let hours pass in no time. ``product_weights``: as
    in the settings, for pools that are fair.
    """

    supports_fairness = True

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        product_weights: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self._clock = clock
        self._shares = FairShares(product_weights)
        self._jobs: dict[UUID, MemoryJob] = {}
        self._paused: set[tuple[str, str | None]] = set()
        self._limits = MemoryLimits()
        self._rates = MemoryRates(clock)
        self._lock = threading.RLock()

    # What a test does to the store

    def add(self, job_type: str = "test", *, delay_seconds: float = 0.0, **fields: Any) -> MemoryJob:
        """Store a job of these fields of MemoryJob, ready now or after a delay; return a copy."""
        now = self._clock()
        job = MemoryJob(
            job_type=job_type, run_after=now + delay_seconds, created_at=now, updated_at=now, **fields
        )
        if delay_seconds > 0:
            job.status = JobStatus.PENDING
        with self._lock:
            self._jobs[job.id] = job
        return copy.deepcopy(job)

    def delete(self, job_id: UUID) -> None:
        """Delete a job, as a user would: it is never run again. Raises JobNotFound."""
        with self._lock:
            self._existing(job_id).deleted = True
            self.release_overlooked()

    def request_cancel(self, job_id: UUID) -> None:
        """End a waiting job as CANCELLED, and ask for the end of a running one. Raises JobNotFound."""
        with self._lock:
            job = self._existing(job_id)
            job.cancel_requested = True
            job.status = job.ends_instead(job.status)
            if job.status.is_terminal:
                job.blocked_on = None
            self.release_overlooked()

    def limit(self, kind: str, name: str, max_running: int | None) -> None:
        """Let so many jobs of a name run at once in each product; None: any number.

        ``kind``: "key", "type", "queue" or "product".
        """
        with self._lock:
            self._limits.set(kind, name, max_running)
            self.release_overlooked()

    def rate(
        self, kind: str, name: str, starts: int | None, *, per_seconds: float = 1.0, burst: int | None = None
    ) -> None:
        """Let so many jobs of a name start in each period, and ``burst`` at once after a quiet time; None: any number.

        Each product has its own; 0 starts: a pause. ``burst`` as that of a ``Rate``. Raises InvalidJobDefinition.
        """
        with self._lock:
            self._rates.set(kind, name, starts, per_seconds, burst)
            self.release_overlooked()

    def pause(self, queue_name: str, product: str | None = None) -> None:
        """Have the jobs of a queue wait; ``product``: only its jobs."""
        with self._lock:
            self._paused.add((queue_name, product))

    def resume(self, queue_name: str, product: str | None = None) -> None:
        """End the pause that ``pause`` with the same names began."""
        with self._lock:
            self._paused.discard((queue_name, product))

    def all(self) -> list[MemoryJob]:
        """Return copies of all jobs, oldest first, deleted ones included."""
        with self._lock:
            return self._copies(self._jobs.values())

    # The eleven

    def load_job(self, job_id: UUID) -> MemoryJob:
        with self._lock:
            return copy.deepcopy(self._existing(job_id))

    def is_job_deleted(self, job_id: UUID) -> bool:
        with self._lock:
            job = self._jobs.get(job_id)
            return job is None or job.deleted

    def mark_job_running(self, job_id: UUID, *, claim: JobClaim) -> bool:
        with self._lock:
            job = self._held(job_id, claim)
            if job is not None and job.started_at is None:
                job.started_at = job.updated_at = self._clock()
            return job is not None

    def find_orphaned_jobs(self) -> Sequence[QueuedJob]:
        with self._lock:
            before = self._clock() - ORPHANED_AFTER_SECONDS
            ready = [job for job in self._ready(JobSelection()) if job.updated_at < before]
        return [job.as_hint() for job in ready[:ORPHANS_LIMIT]]

    def find_stale_jobs(self, threshold_seconds: float) -> Sequence[MemoryJob]:
        with self._lock:
            before = self._clock() - threshold_seconds
            silent = [job for job in self._running() if not threshold_seconds or job.updated_at < before]
            return self._copies(silent)

    def count_claimable_jobs(self) -> int:
        with self._lock:
            return len(self._ready(JobSelection())) + len(self._ready(JobSelection(suspects=True)))

    def update_progress(self, job_id: UUID, progress: Mapping[str, Any], *, claim: JobClaim) -> bool:
        with self._lock:
            job = self._held(job_id, claim)
            if job is not None:
                job.progress, job.updated_at = dict(progress), self._clock()
            return job is not None

    # Batch forms

    def claim_jobs(self, worker_id: str, limit: int, selection: JobSelection) -> Sequence[MemoryJob]:
        with self._lock:
            claimed: list[MemoryJob] = []
            while taken := self._next(limit - len(claimed), selection):
                started = self._rates.start(taken)
                for job in started:
                    self._begin(job, worker_id)
                claimed += started
                if len(started) == len(taken):
                    break
                self.release_overlooked()  # Who waits for a token has given its places back.
            return self._copies(claimed)

    def _next(self, count: int, selection: JobSelection) -> list[MemoryJob]:
        """Return the ready jobs that come first of those that limits and lines let start."""
        ready = self._admitted(sorted(self._ready(selection), key=claim_order_of(selection)))
        return first_in_turn(self._shares, ready, count) if selection.fair else ready[: max(count, 0)]

    def _begin(self, job: MemoryJob, worker_id: str) -> None:
        job.status, job.worker_id, job.started_at = JobStatus.RUNNING, worker_id, None
        job.attempt += 1
        job.updated_at = self._clock()
        if job.expires_at is not None:
            job.expires_in_seconds = job.expires_at - job.updated_at

    def finish_jobs(self, endings: Sequence[Ending]) -> Sequence[bool]:
        with self._lock:
            return [self._end(ending) for ending in endings]

    @property
    def supports_limits(self) -> bool:
        return True

    def release_after(self, jobs: Sequence[AnyJob]) -> Collection[str]:
        return self.release_overlooked()

    def release_overlooked(self, *, at_once: bool = False) -> Collection[str]:
        with self._lock:
            waiting = [
                job
                for job in self._jobs.values()
                if job.status is JobStatus.BLOCKED and not job.deleted and not waits_for_token(job)
            ]
            let_through = self._rates.let_through(self._jobs.values())
            return [job.queue_name for job in self._release([*waiting, *let_through])]

    def _release(self, waiting: Iterable[MemoryJob]) -> list[MemoryJob]:
        """Make ready those that nothing holds any more; return which."""
        released: list[MemoryJob] = []
        for job in sorted(waiting, key=claim_order):
            job.blocked_on = self._held_by(job, released)
            if job.blocked_on is None:
                job.status, job.updated_at = JobStatus.QUEUED, self._clock()
                released.append(job)
        return released

    def _admitted(self, ready: Sequence[MemoryJob]) -> list[MemoryJob]:
        """Return those that may start, were all of them to; the others wait."""
        free: list[MemoryJob] = []
        for job in ready:
            job.blocked_on = self._held_by(job, free)
            if job.blocked_on is None:
                free.append(job)
            else:
                job.status = JobStatus.BLOCKED
        return free

    def _held_by(self, job: MemoryJob, besides: Sequence[MemoryJob] = ()) -> str | None:
        if (line := self._limits.line_before(job, self._jobs.values())) is not None:
            return line
        job.has_turn = job.order_key is not None
        return self._limits.full_gate(job, [*self._running(), *besides])

    def held_back(self) -> Hashable | None:
        return frozenset(self._paused) or None

    def look_ahead(self, selection: JobSelection) -> Outlook:
        suspects = dataclasses.replace(selection, suspects=True)
        with self._lock:
            due = [job.run_after - self._clock() for job in self._pending()]
            if (tokens_in := self._rates.next_in(self._jobs.values())) is not None:
                due.append(tokens_in)
            return Outlook(
                ready=bool(self._ready(selection)),
                suspects=bool(self._ready(suspects)),
                due_in_seconds=min(due, default=None),
            )

    def promote_due_jobs(self, limit: int) -> int:
        with self._lock:
            now = self._clock()
            due = sorted((job for job in self._pending() if job.run_after <= now), key=claim_order)[:limit]
            for job in due:
                job.status, job.updated_at = JobStatus.QUEUED, now
                self._end_if_expired(job)
            through = self._release(self._rates.let_through(self._jobs.values()))
            return sum(job.status is JobStatus.QUEUED for job in [*due, *through])

    def end_expired_jobs(self, limit: int) -> int:
        with self._lock:
            now = self._clock()
            waiting = [
                job for job in self._jobs.values() if not job.deleted and job.status in WAITING_STATUSES
            ]
            expired = [job for job in waiting if job.has_expired(now)][:limit]
            for job in expired:
                self._end_if_expired(job)
            return len(expired)

    def held_jobs(self, worker_id: str) -> Sequence[HeldRow]:
        with self._lock:
            return [
                HeldRow(
                    job_id=job.id, claim=job.claim, cancel_requested=job.cancel_requested, deleted=job.deleted
                )
                for job in self._running()
                if job.claim is not None and job.worker_id == worker_id
            ]

    def _end_if_expired(self, job: MemoryJob) -> None:
        if job.has_expired(now := self._clock()):
            job.status, job.updated_at, job.ended_at = JobStatus.CANCELLED, now, now
            job.blocked_on = None
            failure = engine_failure(EXPIRED, EXPIRED_NOTICE, job.job_type)
            job.error_message, job.error_details = failure.message, failure.details()

    def _existing(self, job_id: UUID) -> MemoryJob:
        job = self._jobs.get(job_id)
        if job is None or job.deleted:
            raise JobNotFound(job_id)
        return job

    def _held(self, job_id: UUID, claim: JobClaim) -> MemoryJob | None:
        job = self._jobs.get(job_id)
        return job if job is not None and job.claim == claim else None

    def _ready(self, selection: JobSelection) -> list[MemoryJob]:
        return [
            job
            for job in self._jobs.values()
            if job.is_ready() and job.is_in(selection) and not self._is_paused(job)
        ]

    def _is_paused(self, job: MemoryJob) -> bool:
        return not self._paused.isdisjoint({(job.queue_name, None), (job.queue_name, job.product)})

    def _pending(self) -> list[MemoryJob]:
        return [job for job in self._jobs.values() if job.status is JobStatus.PENDING and not job.deleted]

    def _running(self) -> list[MemoryJob]:
        return [job for job in self._jobs.values() if job.status is JobStatus.RUNNING]

    def _copies(self, jobs: Iterable[MemoryJob]) -> list[MemoryJob]:
        return [copy.deepcopy(job) for job in jobs]

    def _end(self, ending: Ending) -> bool:
        job = self._held(ending.job_id, ending.claim)
        if job is None:
            return self._ended_before(ending)
        job.last_ending = (ending.claim, type(ending))
        job.status, job.updated_at = ending.status, self._clock()
        if ending.progress is not None:
            job.progress = dict(ending.progress)
        match ending:
            case Completed():
                job.results, job.error_message, job.error_details = from_json(ending.results_json), "", None
            case GivenBack():
                self._delay(job, ending.delay_seconds)
                job.status = JobStatus.PENDING if ending.delay_seconds else JobStatus.QUEUED
            case Retried():
                job.retry_count = ending.retry_count
                self._delay(job, ending.delay_seconds)
            case Snoozed():
                job.snoozes += 1
                self._delay(job, ending.delay_seconds)
        job.status = job.ends_instead(job.status)
        self._count_death(job, ending)
        if job.status.is_terminal:
            job.ended_at = job.updated_at
        failure: Failure | None = getattr(ending, "failure", None)
        if failure is not None:
            job.error_message, job.error_details = failure.message, failure.details()
        if isinstance(ending, GivenBack) and not job.cancel_requested:
            self._end_if_expired(job)
        return True

    def _count_death(self, job: MemoryJob, ending: Ending) -> None:
        if getattr(ending, "crashed", False):
            job.crash_count += 1
        elif getattr(ending, "unseen_death", False):
            job.unseen_deaths += 1
            if job.unseen_deaths >= SUSPECT_AFTER_UNSEEN_DEATHS:
                job.crash_count = max(job.crash_count, SUSPECT_AFTER_CRASHES)
        elif not isinstance(ending, GivenBack):
            if isinstance(ending, Retried | Snoozed):
                job.unseen_deaths = 0
            if job.crash_count >= SUSPECT_AFTER_CRASHES:
                # It ran alone, and its process lives: the deaths were not its own.
                job.crash_count = 0

    def _delay(self, job: MemoryJob, delay_seconds: float) -> None:
        job.started_at = None
        if delay_seconds:
            job.run_after = self._clock() + delay_seconds

    def _ended_before(self, ending: Ending) -> bool:
        job = self._jobs.get(ending.job_id)
        return (
            job is not None
            and job.attempt == ending.claim.attempt
            and job.last_ending == (ending.claim, type(ending))
        )
