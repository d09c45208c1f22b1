"""Finding: what waits too long, what is silent, who holds what, what is due next."""

from __future__ import annotations

import pytest

from pleme_redis_django.jobs.interface.job import JobClaim, QueuedJob
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.testing.store_contract.subject import (
    NewJob,
    StoreSubject,
    completed,
    given_back,
    ids_of,
    new_worker,
    retried,
)

LONG_SECONDS = 7_200.0


class FindingTests(StoreSubject):
    """``find_stale_jobs``, ``find_orphaned_jobs``, ``find_jobs_of``, ``held_jobs``, ``look_ahead``."""

    def test_a_threshold_of_0_finds_every_running_job_with_its_claim(self) -> None:
        held = dict(self.claimed() for _ in range(2))
        ended_id, ended = self.claimed()
        assert self.store.mark_job_completed(ended_id, None, claim=ended)
        self.add_jobs(1)
        found = {job.id: job.claim for job in self.store.find_stale_jobs(0)}
        assert found == held, "find_stale_jobs(0) has to return the RUNNING jobs, each with its claim."

    def test_a_job_that_has_just_started_is_not_stale(self) -> None:
        self.claimed()
        assert list(self.store.find_stale_jobs(LONG_SECONDS)) == []

    def test_a_silent_job_becomes_stale(self) -> None:
        self.needs("can_pass_time")
        job_id, claim = self.claimed()
        self.pass_time(LONG_SECONDS - 60)
        assert list(self.store.find_stale_jobs(LONG_SECONDS)) == []
        self.pass_time(120)
        (stale,) = self.store.find_stale_jobs(LONG_SECONDS)
        assert (stale.id, stale.claim) == (job_id, claim)
        assert (stale.retry_count, stale.can_retry()) == (0, True)

    @pytest.mark.parametrize("sign", ["update_progress", "record_progress", "mark_job_running"])
    def test_a_sign_of_life_keeps_a_job_from_being_stale(self, sign: str) -> None:
        self.needs("can_pass_time")
        job_id, claim = self.claimed()
        self.pass_time(LONG_SECONDS - 60)
        if sign == "update_progress":
            assert self.store.update_progress(job_id, {"done": 1}, claim=claim)
        elif sign == "record_progress":
            self.store.record_progress([(job_id, claim, {"done": 1})])
        else:
            assert self.store.mark_job_running(job_id, claim=claim)
        self.pass_time(120)
        assert list(self.store.find_stale_jobs(LONG_SECONDS)) == []
        self.pass_time(LONG_SECONDS)
        assert ids_of(self.store.find_stale_jobs(LONG_SECONDS)) == [job_id]

    def test_progress_under_a_lost_claim_proves_nothing(self) -> None:
        self.needs("can_pass_time")
        job_id, claim = self.claimed()
        self.pass_time(LONG_SECONDS + 60)
        stranger = JobClaim(worker_id=new_worker(), attempt=claim.attempt)
        assert not self.store.update_progress(job_id, {"done": 1}, claim=stranger)
        assert ids_of(self.store.find_stale_jobs(LONG_SECONDS)) == [job_id]

    def test_a_job_that_waits_too_long_is_an_orphan(self) -> None:
        self.needs("can_pass_time")
        self.claimed()
        deleted = self.add_job(NewJob())
        self.delete_job(deleted)
        orphans = self.add_jobs(2, max_retries=4)
        self.pass_time(LONG_SECONDS)
        found = list(self.store.find_orphaned_jobs())
        assert [hint.job_id for hint in found] == orphans, "Orphans come oldest first."
        assert all(isinstance(hint, QueuedJob) for hint in found)
        assert {hint.max_retries for hint in found} == {4}
        assert all(hint.enqueued_at.tzinfo is not None for hint in found), "enqueued_at has to be aware."

    def test_a_running_job_is_no_orphan(self) -> None:
        job_id, claim = self.claimed()
        assert [hint.job_id for hint in self.store.find_orphaned_jobs()] == []
        assert self.store.mark_job_completed(job_id, None, claim=claim)
        assert [hint.job_id for hint in self.store.find_orphaned_jobs()] == []

    def test_the_jobs_of_a_worker_are_found(self) -> None:
        mine, theirs = self.claimed(), self.claimed()
        self.claimed()
        for held in (mine, theirs):
            found = self.store.find_jobs_of([held[1].worker_id])
            assert [(job.id, job.claim) for job in found] == [held]
            assert [(row.job_id, row.claim) for row in self.store.held_jobs(held[1].worker_id)] == [held]
        both = self.store.find_jobs_of([mine[1].worker_id, theirs[1].worker_id])
        assert sorted(ids_of(both)) == sorted([mine[0], theirs[0]])

    def test_a_worker_without_jobs_holds_nothing(self) -> None:
        job_id, claim = self.claimed()
        assert list(self.store.find_jobs_of([])) == []
        assert list(self.store.find_jobs_of([new_worker()])) == []
        assert list(self.store.held_jobs(new_worker())) == []
        assert self.store.finish_jobs([completed(job_id, claim)]) == [True]
        assert list(self.store.held_jobs(claim.worker_id)) == []

    def test_a_given_back_job_is_no_longer_held(self) -> None:
        job_id, claim = self.claimed()
        assert self.store.finish_jobs([given_back(job_id, claim)]) == [True]
        assert list(self.store.held_jobs(claim.worker_id)) == []
        assert list(self.store.find_stale_jobs(0)) == []

    def test_look_ahead_tells_when_the_next_job_is_due(self) -> None:
        self.needs("claims_by_selection")
        assert self.store.look_ahead(JobSelection()).due_in_seconds is None
        for delay_seconds in (500, 100):
            job_id, claim = self.claimed()
            assert self.store.finish_jobs([retried(job_id, claim, delay_seconds)]) == [True]
        due_in = self.store.look_ahead(JobSelection()).due_in_seconds
        assert due_in is not None
        assert 0 < due_in <= 100, f"The next job is due in 100 s, and look_ahead() says {due_in}."

    def test_promotion_stops_at_its_limit(self) -> None:
        self.needs("can_pass_time")
        self.needs("claims_by_selection")
        for _ in range(3):
            job_id, claim = self.claimed()
            assert self.store.finish_jobs([retried(job_id, claim, 60)]) == [True]
        self.pass_time(61)
        assert self.store.promote_due_jobs(2) == 2
        assert self.store.count_claimable_jobs() == 2
        assert self.store.promote_due_jobs(2) == 1
        assert self.store.promote_due_jobs(2) == 0
