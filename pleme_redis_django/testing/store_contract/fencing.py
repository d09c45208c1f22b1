"""Fencing: only the holder of an attempt writes to it, however late the others wake up."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from pleme_redis_django.jobs.interface.job import JobClaim, JobStatus
from pleme_redis_django.testing.store_contract.subject import (
    ENDINGS,
    WRITES,
    MakeEnding,
    StoreSubject,
    cancelled,
    completed,
    failed,
    given_back,
    new_worker,
    retried,
)

STATUS_AFTER = {
    "mark_job_completed": JobStatus.COMPLETED,
    "finish_jobs(Completed)": JobStatus.COMPLETED,
    "mark_job_failed": JobStatus.FAILED,
    "finish_jobs(Failed)": JobStatus.FAILED,
}


class FencingTests(StoreSubject):
    """Every write by a worker carries its claim, and is refused when the job is no longer that claim's."""

    @pytest.mark.parametrize("write", WRITES)
    def test_another_worker_is_refused(self, write: str) -> None:
        job_id, claim = self.claimed()
        other = JobClaim(worker_id=new_worker(), attempt=claim.attempt)
        self._assert_refused(write, job_id, other, "the claim is another worker's")
        self.assert_running(job_id, claim, f"{write} was refused")

    @pytest.mark.parametrize("write", WRITES)
    @pytest.mark.parametrize("distance", [-1, 1])
    def test_another_attempt_of_the_same_worker_is_refused(self, write: str, distance: int) -> None:
        job_id, first = self.claimed()
        assert self.store.finish_jobs([given_back(job_id, first)]) == [True]
        claim = self.claim(job_id)
        other = JobClaim(worker_id=claim.worker_id, attempt=claim.attempt + distance)
        self._assert_refused(write, job_id, other, f"the attempt is {claim.attempt}, not {other.attempt}")
        self.assert_running(job_id, claim, f"{write} was refused")

    @pytest.mark.parametrize("write", WRITES)
    def test_a_job_that_nobody_claimed_is_refused(self, write: str) -> None:
        (job_id,) = self.add_jobs(1)
        for attempt in (0, 1):
            claim = JobClaim(worker_id=new_worker(), attempt=attempt)
            self._assert_refused(write, job_id, claim, "nobody has claimed the job")
        assert self.store.count_claimable_jobs() == 1

    @pytest.mark.parametrize("write", WRITES)
    def test_a_job_that_does_not_exist_is_refused(self, write: str) -> None:
        self._assert_refused(
            write, uuid4(), JobClaim(worker_id=new_worker(), attempt=1), "there is no such job"
        )

    @pytest.mark.parametrize("write", WRITES)
    def test_a_zombie_is_refused_while_the_next_worker_runs_the_job(self, write: str) -> None:
        """A worker is silent, its job is rescued and claimed by another; then it wakes up."""
        job_id, zombie = self.claimed()
        self._rescue(job_id)
        claim = self.claim(job_id)
        assert claim.attempt > zombie.attempt
        self._assert_refused(write, job_id, zombie, "the job was rescued and is another worker's")
        self.assert_running(job_id, claim, f"the zombie's {write} was refused")
        assert self.store.mark_job_completed(job_id, {"by": "holder"}, claim=claim) is True

    @pytest.mark.parametrize("write", WRITES)
    def test_a_zombie_is_refused_after_the_next_worker_has_finished(self, write: str) -> None:
        job_id, zombie = self.claimed()
        self._rescue(job_id)
        assert self.store.mark_job_completed(job_id, {"by": "holder"}, claim=self.claim(job_id)) is True
        self._assert_refused(write, job_id, zombie, "another worker has finished the job")
        self.assert_status(job_id, JobStatus.COMPLETED, f"the zombie's {write} was refused")
        assert self.stored(job_id, "results") == {"by": "holder"}

    @pytest.mark.parametrize("write", WRITES)
    def test_a_zombie_is_refused_while_its_rescued_job_waits(self, write: str) -> None:
        job_id, zombie = self.claimed()
        self._rescue(job_id)
        if write == "schedule_retry" or "GivenBack" in write or "Retried" in write or "Snoozed" in write:
            # The rescue made the job wait under this very claim: how, a store need not remember.
            WRITES[write](self.store, job_id, zombie)
        else:
            self._assert_refused(write, job_id, zombie, "the job was rescued, and waits")
        assert self.claim(job_id).attempt == zombie.attempt + 1, "The rescued job has to stay claimable."

    @pytest.mark.parametrize("make", [completed, failed, cancelled, retried, given_back])
    def test_an_ending_may_be_repeated(self, make: MakeEnding) -> None:
        """The reply to an ending was lost, and the worker sends it again."""
        job_id, claim = self.claimed()
        for _time in range(3):
            assert self.store.finish_jobs([make(job_id, claim)]) == [True], (
                "A repeated ending that finds its own attempt ended the same way has to be accepted."
            )
        assert self.stored(job_id, "retry_count") == (1 if make is retried else 0)

    def test_a_retry_may_be_repeated_once_it_is_due(self) -> None:
        job_id, claim = self.claimed()
        for _time in range(2):
            assert self.store.finish_jobs([retried(job_id, claim, delay_seconds=0)]) == [True]
            self.store.promote_due_jobs(100)
        assert self.claim(job_id).attempt == 2

    def test_single_endings_may_be_repeated_too(self) -> None:
        for write in STATUS_AFTER:
            job_id, claim = self.claimed()
            assert [WRITES[write](self.store, job_id, claim) for _ in range(2)] == [True, True], write

    def test_a_repeated_retry_is_refused_once_the_job_runs_again(self) -> None:
        job_id, claim = self.claimed()
        assert self.store.finish_jobs([retried(job_id, claim, delay_seconds=0)]) == [True]
        self.store.promote_due_jobs(100)
        second = self.claim(job_id)
        assert self.store.finish_jobs([retried(job_id, claim, delay_seconds=0)]) == [False]
        self.assert_running(job_id, second, "the repeated retry belonged to the attempt before")

    @pytest.mark.parametrize("first", STATUS_AFTER)
    @pytest.mark.parametrize("second", ENDINGS)
    def test_an_attempt_ends_once(self, first: str, second: str) -> None:
        job_id, claim = self.claimed()
        assert WRITES[first](self.store, job_id, claim) is True
        if _kind(first) == _kind(second):
            assert WRITES[second](self.store, job_id, claim) is True
        elif not (_kind(second) == "cancelled" and not self.finishes_in_batches):
            self._assert_refused(second, job_id, claim, f"the attempt had ended by {first}")
        self.assert_status(job_id, STATUS_AFTER[first], "an attempt ends once")
        assert self.store.claim_next_job(new_worker()) is None

    @pytest.mark.parametrize("write", ["mark_job_running", "update_progress"])
    def test_nothing_is_written_after_the_end(self, write: str) -> None:
        job_id, claim = self.claimed()
        assert self.store.mark_job_completed(job_id, "done", claim=claim) is True
        self._assert_refused(write, job_id, claim, "the job has ended")
        self.assert_status(job_id, JobStatus.COMPLETED, f"{write} was refused")

    def _rescue(self, job_id: UUID) -> None:
        """Take the job from its worker, as the sweep does: with the claim that the store knows."""
        (job,) = self.store.find_stale_jobs(0)
        assert job.id == job_id
        assert job.claim is not None, "find_stale_jobs() has to return jobs with their claims."
        assert self.store.finish_jobs([given_back(job.id, job.claim)]) == [True]
        self.store.promote_due_jobs(100)

    def _assert_refused(self, write: str, job_id: UUID, claim: JobClaim, why: str) -> None:
        accepted = WRITES[write](self.store, job_id, claim)
        assert accepted is False, f"{write} returned {accepted!r}, and has to return False: {why}."


def _kind(write: str) -> str:
    for kind in ("completed", "failed", "cancelled", "retr", "snoozed", "givenback"):
        if kind in write.lower():
            return kind
    raise ValueError(f"{write!r} is not an ending.")
