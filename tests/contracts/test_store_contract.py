"""The contract itself: a store that breaks a promise fails the test that names it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest

from pleme_redis_django import JobClaim, JobStatus
from pleme_redis_django.jobs.interface.endings import Ending
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.testing import JobStoreContract, ManualClock, MemoryJob, MemoryJobStore, NewJob
from pleme_redis_django.testing.store_contract.subject import completed


class Unfenced(MemoryJobStore):
    """Writes by id alone, as several well-known queues do."""

    def _held(self, job_id: UUID, claim: JobClaim) -> MemoryJob | None:
        job = self._jobs.get(job_id)
        return job if job is not None and job.status is JobStatus.RUNNING else None


class ByWorkerOnly(MemoryJobStore):
    """Fences by worker and forgets the attempt."""

    def _held(self, job_id: UUID, claim: JobClaim) -> MemoryJob | None:
        job = self._jobs.get(job_id)
        held = job is not None and job.status is JobStatus.RUNNING and job.worker_id == claim.worker_id
        return job if held else None


class Unrepeatable(MemoryJobStore):
    """Refuses an ending whose first reply was lost."""

    def _ended_before(self, ending: Ending) -> bool:
        return False


class RunsDeleted(MemoryJobStore):
    """Claims what was deleted."""

    def claim_jobs(self, worker_id: str, limit: int, selection: JobSelection) -> Sequence[MemoryJob]:
        for job in self._jobs.values():
            job.deleted = False
        return super().claim_jobs(worker_id, limit, selection)


class ChargesGiveBacks(MemoryJobStore):
    """Counts a shutdown as a failure of the job."""

    def _delay(self, job: MemoryJob, delay_seconds: float) -> None:
        super()._delay(job, delay_seconds)
        job.retry_count += 1


class ImpatientStore(MemoryJobStore):
    """Makes a retry ready before its delay is over."""

    def promote_due_jobs(self, limit: int) -> int:
        for job in self._pending():
            job.run_after = 0
        return super().promote_due_jobs(limit)


class LastInFirstOut(MemoryJobStore):
    """Claims the newest job."""

    def claim_jobs(self, worker_id: str, limit: int, selection: JobSelection) -> Sequence[MemoryJob]:
        for index, job in enumerate(self._jobs.values()):
            job.run_after = -index
        return super().claim_jobs(worker_id, limit, selection)


class CountsOneTooFew(MemoryJobStore):
    """Does not count one of those that run."""

    def _running(self) -> list[MemoryJob]:
        return super()._running()[1:]


class ForgetsWhoWaits(MemoryJobStore):
    """Lets nobody in."""

    def release_overlooked(self, *, at_once: bool = False) -> Sequence[str]:
        return []


class StartsWithoutTokens(MemoryJobStore):
    """Keeps no rates."""

    def rate(self, *arguments: Any, **numbers: Any) -> None:
        super().rate("key", "nobody", 1)


class LosesItsTurn(MemoryJobStore):
    """Takes the next of a line while the first waits for its retry."""

    def _held_by(self, job: MemoryJob, besides: Sequence[MemoryJob] = ()) -> str | None:
        held = super()._held_by(job, besides)
        return held if self._running() or besides else None


class Contract(JobStoreContract):
    """Kept from collection by its name; each test below runs one of its tests by hand."""

    kind: ClassVar[type[MemoryJobStore]] = MemoryJobStore

    def make_store(self) -> Any:
        self.clock = ManualClock()
        return self.kind(clock=self.clock)

    def add_job(self, new: NewJob) -> UUID:
        return self.store.add(
            parameters=dict(new.parameters),
            max_retries=new.max_retries,
            concurrency_key=new.concurrency_key,
            order_key=new.order_key,
        ).id

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def set_limit(self, kind: str, name: str, **numbers: Any) -> None:
        self.store.limit(kind, name, numbers.pop("max_running", None))
        self.store.rate(kind, name, numbers.pop("rate", None), **numbers)

    def delete_job(self, job_id: UUID) -> None:
        self.store.delete(job_id)


@pytest.mark.parametrize(
    ("kind", "test", "arguments"),
    [
        (Unfenced, "test_another_worker_is_refused", ["mark_job_completed"]),
        (Unfenced, "test_a_zombie_is_refused_while_the_next_worker_runs_the_job", ["finish_jobs(Failed)"]),
        (ByWorkerOnly, "test_another_attempt_of_the_same_worker_is_refused", ["update_progress", -1]),
        (Unrepeatable, "test_single_endings_may_be_repeated_too", []),
        (RunsDeleted, "test_a_deleted_job_is_never_claimed", []),
        (ChargesGiveBacks, "test_a_given_back_job_is_ready_at_once_and_nothing_is_charged", []),
        (ImpatientStore, "test_a_retry_waits_for_its_delay", []),
        (LastInFirstOut, "test_jobs_come_in_the_order_they_were_added", []),
        (
            CountsOneTooFew,
            "test_no_more_run_than_a_limit_and_an_ending_lets_the_next_in",
            ["key", "contract", {"concurrency_key": "contract:1"}, {}],
        ),
        (ForgetsWhoWaits, "test_every_ending_leaves_its_place", [completed]),
        (StartsWithoutTokens, "test_time_without_starts_gives_no_more_than_the_burst", []),
        (LosesItsTurn, "test_a_head_that_is_retried_holds_its_line_and_one_that_failed_does_not", []),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_store_that_breaks_a_promise_fails(
    kind: type[MemoryJobStore], test: str, arguments: list[Any]
) -> None:
    for tested, passes in ((MemoryJobStore, True), (kind, False)):
        contract = Contract()
        Contract.kind = tested
        contract.setup_method()
        if passes:
            getattr(contract, test)(*arguments)
        else:
            with pytest.raises(AssertionError):
                getattr(contract, test)(*arguments)


def test_what_was_not_filled_in_is_named() -> None:
    with pytest.raises(TypeError, match=r"JobStoreContract.*add_job.*delete_job.*make_store"):
        JobStoreContract()
    for fill_in, named in (
        (lambda: JobStoreContract.pass_time(Contract(), 5), "can_pass_time = False"),
        (lambda: JobStoreContract.set_limit(Contract(), "key", "stripe"), "limit the key stripe"),
        (lambda: JobStoreContract.cancel_job(Contract(), uuid4()), "cancel the job"),
    ):
        with pytest.raises(pytest.fail.Exception, match=named):
            fill_in()
