"""JobStore: the persistence contract of the engine. Eleven methods are enough to write one.

A store that can do better overrides the batch forms, whose defaults call the single ones. The
conformance suite is ``pleme_redis_django.testing.JobStoreContract``; a store that passes it keeps
the engine's guarantees.

Fencing, in every method that takes a claim: the write happens only while the job is RUNNING with
that ``worker_id`` and ``attempt``, in one atomic step. Refused writes return False and change
nothing. A repeated ending that finds its own attempt already ended the same way returns True, so
that a lost reply can be retried.
"""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any, Protocol, TypeVar
from uuid import UUID

from pleme_redis_django.exceptions import JobNotFound, StoreError
from pleme_redis_django.jobs.interface.endings import (
    Cancelled,
    Completed,
    Ending,
    Failed,
    Failure,
    GivenBack,
    Retried,
    Snoozed,
)
from pleme_redis_django.jobs.interface.job import AnyJob, JobClaim, QueuedJob
from pleme_redis_django.jobs.interface.json_text import from_json
from pleme_redis_django.jobs.interface.selection import JobSelection

J_co = TypeVar("J_co", bound=AnyJob, covariant=True)

ORPHANED_AFTER_SECONDS = 30.0
"""A ready job whose hint is younger than this is not forgotten, only waiting for a slot."""
ORPHANS_LIMIT = 1000
"""How many forgotten jobs are returned at once."""
LIMITS_LOOKED_AFTER_SECONDS = 30.0
"""So often each process says which limits it declares."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a store sees ahead, without claiming anything."""

    ready: bool
    """Whether a job is ready."""
    suspects: bool = False
    """Whether a ready job waits to run alone."""
    due_in_seconds: float | None = None
    """Time until the next PENDING job is due, 0 or less when one is; None: none is scheduled."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HeldRow:
    """A row that is RUNNING under a worker's id."""

    job_id: UUID
    claim: JobClaim
    cancel_requested: bool = False
    deleted: bool = False
    """Whether it was deleted since: what has not started shall not."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What one batch of a walk through old jobs did."""

    deleted: int = 0
    kept: int = 0
    """How many are past their time, and stay: something else refers to them, or deleting them failed."""
    is_done: bool = True
    """Whether the walk has come to its end; the next batch begins another."""


class JobStore(Protocol[J_co]):
    """Where jobs are kept. Methods may be called from any thread, each with its own connection."""

    supports_fairness: bool = False
    """Whether claims of a fair selection share between the products; a fair pool asks for it at its start."""

    # The eleven

    @abstractmethod
    def claim_next_job(self, worker_id: str) -> J_co | None:
        """Claim the ready job that comes first, or return None.

        Atomic: two workers never get the same attempt. Sets RUNNING, the worker and
        ``attempt + 1``; the returned job carries its ``claim``. Deleted jobs are never returned.
        """
        ...

    @abstractmethod
    def load_job(self, job_id: UUID) -> J_co:
        """Return the job. Raises JobNotFound when there is none or it was deleted."""
        ...

    @abstractmethod
    def is_job_deleted(self, job_id: UUID) -> bool:
        """Whether the job was deleted, or never existed."""
        ...

    @abstractmethod
    def mark_job_running(self, job_id: UUID, *, claim: JobClaim) -> bool:
        """Record that the handler has started. Fenced; a second call changes nothing more."""
        ...

    @abstractmethod
    def mark_job_completed(self, job_id: UUID, results: Any, *, claim: JobClaim) -> bool:
        """End the job COMPLETED with its JSON result. Fenced and repeatable."""
        ...

    @abstractmethod
    def mark_job_failed(
        self, job_id: UUID, error: str, details: Mapping[str, Any], *, claim: JobClaim
    ) -> bool:
        """End the job FAILED. Fenced and repeatable."""
        ...

    @abstractmethod
    def schedule_retry(
        self,
        job_id: UUID,
        retry_count: int,
        delay_seconds: float,
        error: str,
        details: Mapping[str, Any],
        *,
        claim: JobClaim,
    ) -> bool:
        """Make the job due again after a delay on the store's own clock. Fenced and repeatable."""
        ...

    @abstractmethod
    def find_orphaned_jobs(self) -> Sequence[QueuedJob]:
        """Return up to 1,000 ready jobs that have waited since before the last hints, oldest first."""
        ...

    @abstractmethod
    def find_stale_jobs(self, threshold_seconds: float) -> Sequence[J_co]:
        """Return RUNNING jobs with no sign of life for ``threshold_seconds`` (0: all), with claims."""
        ...

    @abstractmethod
    def count_claimable_jobs(self) -> int:
        """Return how many jobs are ready now."""
        ...

    @abstractmethod
    def update_progress(self, job_id: UUID, progress: Mapping[str, Any], *, claim: JobClaim) -> bool:
        """Write the progress of a running job, which also proves that it lives. Fenced."""
        ...

    # Batch forms

    def claim_jobs(self, worker_id: str, limit: int, selection: JobSelection) -> Sequence[J_co]:
        """Claim up to ``limit`` ready jobs of the selection, first ones first."""
        if selection.queue_names is not None or selection.product is not None:
            raise StoreError(
                f"{type(self).__name__} cannot claim by queue or product: it has no claim_jobs() of its own. "
                'Serve every queue (queues=["*"], no product), or override claim_jobs().'
            )
        jobs: list[J_co] = []
        if selection.suspects:
            return jobs  # Without a crash_count nobody is suspected.
        while len(jobs) < limit and (job := self.claim_next_job(worker_id)) is not None:
            jobs.append(job)
        return jobs

    def finish_jobs(self, endings: Sequence[Ending]) -> Sequence[bool]:
        """Write endings; return which were accepted, in order. Fenced and repeatable.

        Raises BadEnding when an ending can never be written, LockedJobs when rows are locked by somebody
        else's transaction, DoubtfulEndings when it is not known whose fault it is; then it has written none
        of them. It waits for a lock for a moment only: a process writes all its endings in one thread.
        """
        return [self._finish(ending) for ending in endings]

    @property
    def supports_limits(self) -> bool:
        """Whether claims keep the limits, rates and orders that jobs declare."""
        return False

    def release_after(self, jobs: Sequence[AnyJob]) -> Collection[str]:
        """Make ready what waits for the places of these jobs, whose endings are written; return the queues of those.

        It is called after ``finish_jobs``, and again with the same jobs where it failed.
        """
        return ()

    def released_by_claims(self) -> Collection[str]:
        """Return the queues of jobs that claims have made ready since the last call, from the thread that claims.

        A claimed job that steps back at one limit gives its places at the others back.
        """
        return ()

    def release_overlooked(self, *, at_once: bool = False) -> Collection[str]:
        """Make ready what waits for a place or for its turn although nothing holds it; return the queue of each.

        A process that dies between an ending and ``release_after`` leaves such jobs. Who looks now and then leaves
        what was not there at its last look to those who are about to see to it, unless it is to be ``at_once``.
        """
        return ()

    def released_besides(self) -> Collection[str]:
        """Return the queues of jobs that ``release_overlooked`` has made ready besides, since the last call.

        Nobody has overlooked them: their limit has ended, or had places free each time while others went on.
        """
        return ()

    def look_after_limits(self) -> Collection[str]:
        """Take note of what this process declares of limits, and end those that nobody declares any more.

        Return the queue of each job that goes on for that. Every process asks it, twice a minute; a store to which
        limits are declared by nobody but itself does nothing here.
        """
        return ()

    def record_progress(self, reports: Sequence[tuple[UUID, JobClaim, Mapping[str, Any]]]) -> None:
        """Write the progress of several running jobs.

        Raises LockedJobs for those whose rows are locked; then the others were written.
        """
        for job_id, claim, progress in reports:
            self.update_progress(job_id, progress, claim=claim)

    def record_starts(self, starts: Sequence[tuple[UUID, JobClaim, float]]) -> None:
        """Record that handlers have started so many seconds ago; a start that is recorded already stays.

        Raises LockedJobs for those whose rows are locked; then the others were written.
        """
        for job_id, claim, _seconds in starts:
            self.mark_job_running(job_id, claim=claim)

    def held_back(self) -> Hashable | None:
        """Return what keeps ready jobs from every claim for now, such as pauses; None: nothing.

        It is asked at every turn, and twice a second while it is not None; so it answers from memory
        mostly. Another answer than before has the store looked at: no hint tells of jobs that may run again.
        """
        return None

    def hear_of(self, selection: JobSelection, products: Collection[str]) -> Collection[str]:
        """Take note that jobs of these products are said to be ready, for fair claims; from the thread that claims.

        Return those that had none so far, and whose turn it is now: their first jobs go before what was claimed ahead.
        """
        return ()

    def look_again_in(self, selection: JobSelection) -> float | None:
        """Return in how many seconds to look at the selection again; None: the last claim or look saw all.

        For a store that may pass ready jobs over for a moment, because it would cost too much to read past
        those that this worker may not take each time. A short claim does not say then that nothing is ready.
        """
        return None

    def look_ahead(self, selection: JobSelection) -> Outlook:
        """Return what is ready and what is due next, changing nothing."""
        return Outlook(ready=self.count_claimable_jobs() > 0)

    def promote_due_jobs(self, limit: int) -> int:
        """Make up to ``limit`` due PENDING jobs QUEUED; return how many.

        One that may not start any more ends as ``end_expired_jobs`` ends it, and is not counted.
        A store that claims due PENDING jobs directly has nothing to do here.
        """
        return 0

    def end_expired_jobs(self, limit: int) -> int:
        """End up to ``limit`` waiting jobs whose deadline is over as CANCELLED, code ``expired``; return how many.

        A store that does nothing here leaves them until they are claimed: a worker does not start them either.
        """
        return 0

    def count_unserved(self, known_types: frozenset[str]) -> Mapping[str, int]:
        """Return how many ready jobs have a type that is not known, by type; a sample is enough."""
        return {}

    def prune_jobs(self, limit: int) -> Pruned:
        """Look at the next ``limit`` jobs that are old, and delete those whose retention is over.

        For one thread. A store that keeps every job, or has another way to be rid of them, does nothing here.
        """
        return Pruned()

    def find_jobs_of(self, worker_ids: Sequence[str]) -> Sequence[J_co]:
        """Return RUNNING jobs that these workers hold, with their claims."""
        wanted = set(worker_ids)
        return [job for job in self.find_stale_jobs(0) if job.claim and job.claim.worker_id in wanted]

    def held_jobs(self, worker_id: str) -> Sequence[HeldRow]:
        """Return what is RUNNING under the worker's id, whether it knows of it or not."""
        return [
            HeldRow(job_id=job.id, claim=job.claim)
            for job in self.find_jobs_of([worker_id])
            if job.claim is not None
        ]

    def _finish(self, ending: Ending) -> bool:
        job_id, claim = ending.job_id, ending.claim
        match ending:
            case Completed():
                return self.mark_job_completed(job_id, from_json(ending.results_json), claim=claim)
            case Retried():
                return self.schedule_retry(
                    job_id,
                    ending.retry_count,
                    ending.delay_seconds,
                    ending.failure.message,
                    ending.failure.details(),
                    claim=claim,
                )
            case Failed() | Cancelled():
                return self.mark_job_failed(
                    job_id, ending.failure.message, ending.failure.details(), claim=claim
                )
            case GivenBack():
                return self._give_back(ending)
            case Snoozed():
                return self.schedule_retry(
                    job_id, ending.retry_count, ending.delay_seconds, "", {}, claim=claim
                )
            case _:
                raise StoreError(f"{type(ending).__name__} is not an ending that this store knows.")

    def _give_back(self, ending: GivenBack) -> bool:
        try:
            job = self.load_job(ending.job_id)
        except JobNotFound:
            return False  # Deleted while it was held: there is nothing to give back.
        if ending.crashed and ending.failure is not None:
            return self._charge(job, ending, ending.failure)
        return self.schedule_retry(job.id, job.retry_count, ending.delay_seconds, "", {}, claim=ending.claim)

    def _charge(self, job: AnyJob, ending: GivenBack, failure: Failure) -> bool:
        """Count the death of a job's process as a retry, or its end.

        A store of only the eleven methods keeps no crash count, by which a job that kills its
        process is found out; given back for nothing, it would kill one after the other for ever.
        """
        message, details, claim = failure.message, failure.details(), ending.claim
        if not job.can_retry():
            return self.mark_job_failed(job.id, message, details, claim=claim)
        delay_seconds = job.calculate_backoff_delay()
        return self.schedule_retry(job.id, job.retry_count + 1, delay_seconds, message, details, claim=claim)
