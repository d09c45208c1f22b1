"""StoreSubject: the store under test, and the few things a test has to know how to do to it."""

from __future__ import annotations

import dataclasses
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

import pytest

from pleme_redis_django.jobs.interface.endings import (
    Cancelled,
    Completed,
    Ending,
    Failed,
    GivenBack,
    Retried,
    Snoozed,
)
from pleme_redis_django.jobs.interface.failures import engine_failure
from pleme_redis_django.jobs.interface.job import SUSPECT_AFTER_CRASHES, AnyJob, JobClaim, JobStatus
from pleme_redis_django.jobs.interface.json_text import to_json
from pleme_redis_django.jobs.interface.queue_names import DEFAULT_QUEUE_NAME
from pleme_redis_django.jobs.interface.retry import DEFAULT_MAX_RETRIES
from pleme_redis_django.jobs.interface.store import JobStore

# Due "some time later": no test lasts so long.
LATER_SECONDS = 3600.0
_NO_LIMIT = 2**31 - 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job that a test wants to have, ready to run. A store may have no place for some fields."""

    job_type: str = "contract"
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    max_retries: int = DEFAULT_MAX_RETRIES
    queue_name: str = DEFAULT_QUEUE_NAME
    product: str = "default"
    priority: int = 0
    expires_in_seconds: float | None = None
    """From the time at which it is added; None: it never expires. Asked of a store that ``knows_deadlines``."""
    concurrency_key: str | None = None
    """Asked, as the two below, of a store that ``supports_limits``."""
    order_key: str | None = None
    cost: int = 1


class StoreAbilities:
    """What a store of only the eleven methods may do without: set what yours lacks to False."""

    claims_in_order: ClassVar[bool] = True
    """Claims by priority, highest first, and those of one priority in the order they were added."""
    claims_by_selection: ClassVar[bool] = True
    """``claim_jobs()`` of its own, which honours queue names, product and job types."""
    knows_suspects: ClassVar[bool] = True
    """Keeps ``crash_count`` and ``unseen_deaths``, so that a job at whose run processes died runs alone."""
    counts_snoozes: ClassVar[bool] = True
    """Keeps ``snoozes``, how often a handler has put the job off, and leaves what it knew of failures."""
    knows_deadlines: ClassVar[bool] = True
    """Keeps ``expires_at``: ``end_expired_jobs()``, and ``expires_in_seconds`` of a claimed job."""
    finishes_in_batches: ClassVar[bool] = True
    """``finish_jobs()`` of its own: all or nothing, and a cancelled job ends CANCELLED, not FAILED."""
    can_pass_time: ClassVar[bool] = True
    """The test can let time pass for the store: ``pass_time()`` is filled in."""


class StoreSubject(StoreAbilities, ABC):
    """The store under test. The first three methods are yours to fill in, the others may stay."""

    store: JobStore[Any]

    @abstractmethod
    def make_store(self) -> JobStore[Any]:
        """Return the store under test, without jobs."""

    @abstractmethod
    def add_job(self, new: NewJob) -> UUID:
        """Add a job that is ready to run; return its id. Called once per job, in order."""

    @abstractmethod
    def delete_job(self, job_id: UUID) -> None:
        """Delete a job the way the project does."""

    def pass_time(self, seconds: float) -> None:
        """Let time pass for the store: advance its clock, or set every stored time back."""
        pytest.fail(
            f"{type(self).__name__}.pass_time() has to let {seconds} seconds pass for the store. A store for which "
            "that cannot be done sets can_pass_time = False."
        )

    def set_limit(
        self,
        kind: str,
        name: str,
        *,
        max_running: int | None = None,
        rate: int | None = None,
        per_seconds: float = 1.0,
        burst: int = 2,
    ) -> None:
        """Give the limit of a "key", "type", "queue" or "product" these numbers; without any it ends."""
        pytest.fail(
            f"{type(self).__name__}.set_limit() has to limit the {kind} {name}: the store says supports_limits."
        )

    def cancel_job(self, job_id: UUID) -> None:
        """Cancel a job the way the project does; asked of a store that ``supports_limits``."""
        pytest.fail(f"{type(self).__name__}.cancel_job() has to cancel the job {job_id}.")

    def stored(self, job_id: UUID, field: str) -> Any:
        """Return what the store holds: "status", "results", "progress", "error_message" or "retry_count"."""
        return getattr(self.store.load_job(job_id), field)

    def leave_thread(self) -> None:
        """Let go of what a thread opened, at its end; by default Django's connections."""
        from django.db import connections

        connections.close_all()

    # What the tests are written in

    def setup_method(self) -> None:
        self.store = self.make_store()

    def needs(self, ability: str) -> None:
        """Skip the test when the store does without the ability."""
        if not getattr(self, ability):
            pytest.skip(f"{type(self).__name__}.{ability} is False")

    def add_jobs(self, count: int, **fields: Any) -> list[UUID]:
        return [self.add_job(NewJob(**fields)) for _ in range(count)]

    def claimed(self, **fields: Any) -> tuple[UUID, JobClaim]:
        """Add a job and claim it; return its id and the claim."""
        job_id = self.add_job(NewJob(**fields))
        return job_id, self.claim(job_id)

    def claim(self, job_id: UUID) -> JobClaim:
        """Claim the job, which has to be the only ready one."""
        job = self.store.claim_next_job(new_worker())
        assert job is not None, "claim_next_job() returned None, and a job is ready."
        assert job.id == job_id, f"claim_next_job() returned the job {job.id}, and only {job_id} is ready."
        return claim_of(job)

    def suspect(self) -> UUID:
        """Add a job at whose run two worker processes died; return its id."""
        job_id, claim = self.claimed()
        for _ in range(SUSPECT_AFTER_CRASHES - 1):
            assert self.store.finish_jobs([given_back(job_id, claim, crashed=True)]) == [True]
            self.store.promote_due_jobs(100)
            claim = self.claim(job_id)
        assert self.store.finish_jobs([given_back(job_id, claim, crashed=True)]) == [True]
        self.store.promote_due_jobs(100)
        return job_id

    def claim_everything(self) -> list[UUID]:
        """Claim one by one until nothing is ready; return the ids in that order."""
        worker, ids = new_worker(), []
        while (job := self.store.claim_next_job(worker)) is not None:
            assert job.id not in ids, f"claim_next_job() returned the job {job.id} twice."
            ids.append(job.id)
        return ids

    def assert_status(self, job_id: UUID, status: JobStatus, why: str) -> None:
        found = self.stored(job_id, "status")
        assert found == status, f"The job's status is {found}, and has to be {status}: {why}."

    def assert_running(self, job_id: UUID, claim: JobClaim, why: str) -> None:
        """Assert that the job still is RUNNING under the claim: its holder may write, nothing changed."""
        self.assert_status(job_id, JobStatus.RUNNING, why)
        assert self.store.mark_job_running(job_id, claim=claim), (
            f"The holder's claim is no longer accepted: {why}."
        )


def new_worker() -> str:
    """Return the id of a worker process of its own."""
    return str(uuid.uuid4())


def claim_of(job: AnyJob) -> JobClaim:
    """Return the claim that a claimed job has to carry."""
    assert job.claim is not None, f"The claimed job {job.id} carries no claim: its .claim is None."
    return job.claim


def ids_of(jobs: Sequence[Any]) -> list[UUID]:
    return [job.id for job in jobs]


# One of each ending, for a claim

FAILURE = engine_failure("contract", "It failed, as the contract's test asked.", "contract")


def completed(job_id: UUID, claim: JobClaim, results: Any = None) -> Completed:
    text = to_json(results, max_bytes=_NO_LIMIT)
    return Completed(job_id=job_id, claim=claim, results_json=text, run_seconds=0.25)


def failed(job_id: UUID, claim: JobClaim) -> Failed:
    return Failed(job_id=job_id, claim=claim, failure=FAILURE)


def cancelled(job_id: UUID, claim: JobClaim) -> Cancelled:
    return Cancelled(job_id=job_id, claim=claim, failure=FAILURE)


def retried(job_id: UUID, claim: JobClaim, delay_seconds: float = LATER_SECONDS) -> Retried:
    return Retried(job_id=job_id, claim=claim, failure=FAILURE, retry_count=1, delay_seconds=delay_seconds)


def snoozed(job_id: UUID, claim: JobClaim, delay_seconds: float = LATER_SECONDS) -> Snoozed:
    return Snoozed(job_id=job_id, claim=claim, retry_count=0, delay_seconds=delay_seconds)


def given_back(
    job_id: UUID,
    claim: JobClaim,
    *,
    crashed: bool = False,
    unseen_death: bool = False,
    delay_seconds: float = 0.0,
) -> GivenBack:
    return GivenBack(
        job_id=job_id, claim=claim, crashed=crashed, unseen_death=unseen_death, delay_seconds=delay_seconds
    )


MakeEnding = Callable[[UUID, JobClaim], Ending]
Write = Callable[[JobStore[Any], UUID, JobClaim], bool]

WRITES: dict[str, Write] = {
    "mark_job_running": lambda store, job_id, claim: store.mark_job_running(job_id, claim=claim),
    "update_progress": lambda store, job_id, claim: store.update_progress(job_id, {"done": 1}, claim=claim),
    "mark_job_completed": lambda store, job_id, claim: store.mark_job_completed(
        job_id, {"by": "nobody"}, claim=claim
    ),
    "mark_job_failed": lambda store, job_id, claim: store.mark_job_failed(
        job_id, "failed", FAILURE.details(), claim=claim
    ),
    "schedule_retry": lambda store, job_id, claim: store.schedule_retry(
        job_id, 1, LATER_SECONDS, "failed", FAILURE.details(), claim=claim
    ),
    "finish_jobs(Completed)": lambda store, job_id, claim: store.finish_jobs([completed(job_id, claim)])[0],
    "finish_jobs(Failed)": lambda store, job_id, claim: store.finish_jobs([failed(job_id, claim)])[0],
    "finish_jobs(Cancelled)": lambda store, job_id, claim: store.finish_jobs([cancelled(job_id, claim)])[0],
    "finish_jobs(Retried)": lambda store, job_id, claim: store.finish_jobs([retried(job_id, claim)])[0],
    "finish_jobs(Snoozed)": lambda store, job_id, claim: store.finish_jobs([snoozed(job_id, claim)])[0],
    "finish_jobs(GivenBack)": lambda store, job_id, claim: store.finish_jobs([given_back(job_id, claim)])[0],
}
"""Every write by a worker, as the store's methods spell it."""

ENDINGS = [name for name in WRITES if name not in ("mark_job_running", "update_progress")]
"""The writes that end an attempt."""
