"""Holdings: the jobs that this process has claimed and whose endings are not accepted yet."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from uuid import UUID

from pleme_redis_django.exceptions import JobCancelled
from pleme_redis_django.jobs.interface.context import JobContext
from pleme_redis_django.jobs.interface.endings import Cancelled, Ending, GivenBack
from pleme_redis_django.jobs.interface.failures import EXPIRED, EXPIRED_NOTICE, engine_failure

# More than the retries that an operator's retry forgets, at the default of max_retries.
MANY_RETURNS = 5


class HeldJob:
    """A claimed job on its way through the process."""

    __slots__ = (
        "claim",
        "context",
        "expires_at",
        "given_back",
        "has_ending",
        "job",
        "keeps_coming_back",
        "runs_again",
        "slot",
        "start_recorded",
        "started_at",
        "unwanted",
    )

    def __init__(self, context: JobContext, claimed_at: float) -> None:
        """``claimed_at``: monotonic seconds; when the claim came back from the store."""
        self.context = context
        self.job = job = context.job
        self.claim = claim = context.claim
        expires_in: float | None = getattr(job, "expires_in_seconds", None)
        self.expires_at = None if expires_in is None else claimed_at + expires_in
        """Monotonic seconds; by then it has to have started. None: whenever."""
        self.started_at: float | None = None
        """Monotonic seconds; None until a slot takes the job."""
        self.slot = -1
        """Which of its process's slots runs it; -1: none yet."""
        self.start_recorded = False
        explained = job.retry_count + 1 + getattr(job, "snoozes", 0)
        self.runs_again = claim.attempt > explained
        """Whether an attempt before this one was given back, or an operator has retried the job."""
        self.keeps_coming_back = claim.attempt > explained + MANY_RETURNS
        """Whether so many attempts left no ending that its start is written before its handler begins."""
        self.given_back = False
        """Whether shutdown gave the job away while its handler was still running."""
        self.has_ending = False
        """Whether an ending of it is with the finisher, written or not: no give-back replaces it."""
        self.unwanted = False
        """Whether the job was deleted meanwhile: it is not started any more."""

    def has_expired(self) -> bool:
        """Whether the job has not started by its deadline, so that it never may."""
        expires_at = self.expires_at
        return expires_at is not None and self.started_at is None and time.monotonic() >= expires_at


Entry = tuple[HeldJob, Ending]
"""A held job and how it ended."""


class Holdings:
    """Held jobs by id; safe to use from every thread of the process."""

    def __init__(self, async_types: frozenset[str] | None = frozenset()) -> None:
        # By UUID.int: a UUID is hashed and compared in Python, several times for each job.
        self._held: dict[int, HeldJob] = {}
        self._async_types = async_types
        """Types of async jobs; None: every type."""
        self._lock = threading.Lock()
        self._empty = threading.Condition(self._lock)
        self._claims = itertools.count(1)
        self.claim_under_way: int | None = None
        """Its number; None: there is none. Of its jobs, this process does not know yet what it holds."""

    @contextmanager
    def claiming(self) -> Iterator[None]:
        """Note that a claim is under way, until its jobs are held. For the thread that claims."""
        self.claim_under_way = next(self._claims)
        try:
            yield
        finally:
            self.claim_under_way = None

    def add(self, jobs: Iterable[HeldJob]) -> None:
        """Hold jobs that were just claimed."""
        with self._lock:
            self._held.update((held.job.id.int, held) for held in jobs)

    def remove(self, jobs: Iterable[HeldJob]) -> None:
        """Remove jobs whose endings the store has answered."""
        with self._lock:
            for held in jobs:
                # A rescued job may be held anew, by a later claim of this very process.
                number = held.job.id.int
                if self._held.get(number) is held:
                    del self._held[number]
            if not self._held:
                self._empty.notify_all()

    def wait_until_empty(self, timeout_seconds: float) -> bool:
        """Wait until nothing is held; return whether that came in time."""
        with self._lock:
            return self._empty.wait_for(lambda: not self._held, timeout_seconds)

    def all(self) -> list[HeldJob]:
        with self._lock:
            return list(self._held.values())

    def running(self) -> list[HeldJob]:
        """Return what has started and not ended."""
        return [held for held in self.all() if held.started_at is not None]

    def count_async(self) -> int:
        """Return how many of the held jobs are async ones."""
        types = self._async_types
        return sum(types is None or held.job.job_type in types for held in self.all())

    def find(self, job_id: UUID, attempt: int) -> HeldJob | None:
        """Return this very attempt, None when it is not held."""
        held = self._held.get(job_id.int)
        return held if held is not None and held.claim.attempt == attempt else None

    def holds(self, job_id: UUID, attempt: int) -> bool:
        """Whether this very attempt is held."""
        return self.find(job_id, attempt) is not None

    def __len__(self) -> int:
        return len(self._held)


def ending_if_unfinished(held: HeldJob) -> Ending:
    """Return the ending of a job that is not finished here: cancelled when that was asked, else given back."""
    job, claim = held.job, held.claim
    if held.has_expired() and not held.context.cancel_requested:
        failure = engine_failure(EXPIRED, EXPIRED_NOTICE, job.job_type)
        return Cancelled(job_id=job.id, claim=claim, failure=failure)
    if not held.context.cancel_requested:
        return GivenBack(job_id=job.id, claim=claim)
    when = "before it started" if held.started_at is None else "while it ran, and its worker stopped"
    failure = engine_failure(JobCancelled.error_code, f"The job was cancelled {when}.", job.job_type)
    return Cancelled(job_id=job.id, claim=claim, failure=failure)
