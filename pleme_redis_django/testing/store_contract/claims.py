"""Claiming: each ready job once, whole, in order, and only what was asked for."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from pleme_redis_django.exceptions import JobNotFound, StoreError
from pleme_redis_django.jobs.interface.job import JobClaim, JobStatus
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.testing.store_contract.subject import (
    LATER_SECONDS,
    NewJob,
    StoreSubject,
    claim_of,
    given_back,
    ids_of,
    new_worker,
)

PARAMETERS: dict[str, Any] = {
    "to": "alice@example.com",
    "subject": 'Grüße, 世界 \N{WAVING HAND SIGN} "quoted" \\ and\nover two lines',
    "count": 12_345_678_901,
    "share": 0.1,
    "flags": [True, False, None],
    "nested": {"list": [1, [2, {"deep": "\u00e9"}]], "empty": {}, "": ""},
}


class ClaimTests(StoreSubject):
    """``claim_next_job``, ``claim_jobs``, ``load_job``, ``is_job_deleted``, ``count_claimable_jobs``."""

    def test_an_empty_store_has_nothing_to_claim(self) -> None:
        assert self.store.claim_next_job(new_worker()) is None
        assert list(self.store.claim_jobs(new_worker(), 10, JobSelection())) == []

    def test_a_claimed_job_is_running_and_carries_its_claim(self) -> None:
        job_id = self.add_job(NewJob())
        worker = new_worker()
        job = self.store.claim_next_job(worker)
        assert job is not None, "claim_next_job() returned None, and a job is ready."
        assert job.id == job_id
        assert claim_of(job) == JobClaim(worker_id=worker, attempt=1), (
            f"The claim is {job.claim}; worker_id has to be the one that was given, and the first attempt is 1."
        )
        self.assert_status(job_id, JobStatus.RUNNING, "it was claimed")

    def test_a_claimed_job_has_everything_that_the_engine_reads(self) -> None:
        self.add_job(NewJob(parameters=PARAMETERS, max_retries=7))
        job = self.store.claim_next_job(new_worker())
        assert job is not None
        assert job.parameters == PARAMETERS, "The parameters came back changed."
        assert (job.retry_count, job.max_retries) == (0, 7)
        assert isinstance(job.job_type, str)
        assert job.job_type
        assert job.configuration is None or isinstance(job.configuration, dict)
        assert job.can_retry() is True
        assert job.calculate_backoff_delay() == 60, "The first delay is 60 seconds."

    def test_a_job_without_retries_cannot_be_retried(self) -> None:
        self.add_job(NewJob(max_retries=0))
        job = self.store.claim_next_job(new_worker())
        assert job is not None
        assert job.can_retry() is False

    def test_a_claimed_job_is_not_claimed_again(self) -> None:
        self.claimed()
        assert self.store.claim_next_job(new_worker()) is None, "A job was claimed twice."
        assert list(self.store.claim_jobs(new_worker(), 10, JobSelection())) == []

    def test_the_attempt_grows_by_one_at_every_claim(self) -> None:
        job_id, claim = self.claimed()
        for attempt in (2, 3):
            assert self.store.finish_jobs([given_back(job_id, claim)]) == [True]
            claim = self.claim(job_id)
            assert claim.attempt == attempt

    def test_one_worker_may_hold_several_jobs(self) -> None:
        ids = self.add_jobs(3)
        assert sorted(self.claim_everything()) == sorted(ids)

    def test_jobs_come_in_the_order_they_were_added(self) -> None:
        self.needs("claims_in_order")
        ids = self.add_jobs(5)
        assert self.claim_everything() == ids

    def test_a_higher_priority_comes_first(self) -> None:
        self.needs("claims_in_order")
        low, normal, high, normal_too = (
            self.add_job(NewJob(priority=priority)) for priority in (-100, 0, 100, 0)
        )
        assert self.claim_everything() == [high, normal, normal_too, low]

    def test_a_batch_is_no_larger_than_its_limit(self) -> None:
        ids = self.add_jobs(5)
        worker = new_worker()
        first = self.store.claim_jobs(worker, 3, JobSelection())
        assert len(first) == 3, f"claim_jobs(limit=3) returned {len(first)} of 5 ready jobs."
        second = self.store.claim_jobs(worker, 100, JobSelection())
        assert sorted(ids_of(first) + ids_of(second)) == sorted(ids)
        assert {claim_of(job).worker_id for job in [*first, *second]} == {worker}

    def test_a_batch_comes_in_claim_order(self) -> None:
        self.needs("claims_in_order")
        self.needs("claims_by_selection")
        ids = [self.add_job(NewJob(priority=priority)) for priority in (0, 5, 0)]
        claimed = self.store.claim_jobs(new_worker(), 3, JobSelection())
        assert ids_of(claimed) == [ids[1], ids[0], ids[2]]

    @pytest.mark.parametrize(
        "selection",
        [
            JobSelection(queue_names=("email",)),
            JobSelection(queue_names=("email", "sms")),
            JobSelection(product="novaskyn"),
            JobSelection(job_types=frozenset({"send"})),
            JobSelection(queue_names=("email",), product="novaskyn", job_types=frozenset({"send"})),
        ],
        ids=["queue", "queues", "product", "types", "all"],
    )
    def test_a_selection_takes_only_what_it_names(self, selection: JobSelection) -> None:
        self.needs("claims_by_selection")
        wanted = self.add_job(NewJob(queue_name="email", product="novaskyn", job_type="send"))
        self.add_job(NewJob())
        assert ids_of(self.store.claim_jobs(new_worker(), 10, selection)) == [wanted]
        assert list(self.store.claim_jobs(new_worker(), 10, selection)) == []
        assert self.store.look_ahead(selection).ready is False

    @pytest.mark.parametrize(
        "selection", [JobSelection(queue_names=("email",)), JobSelection(product="novaskyn")]
    )
    def test_a_selection_that_cannot_be_honoured_is_refused(self, selection: JobSelection) -> None:
        if self.claims_by_selection:
            return
        job_id = self.add_job(NewJob())
        with pytest.raises(StoreError):
            self.store.claim_jobs(new_worker(), 10, selection)
        self.claim(job_id)

    def test_a_deleted_job_is_never_claimed(self) -> None:
        job_id = self.add_job(NewJob())
        self.delete_job(job_id)
        assert self.store.claim_next_job(new_worker()) is None, "A deleted job was claimed."
        assert list(self.store.claim_jobs(new_worker(), 10, JobSelection())) == []
        assert self.store.count_claimable_jobs() == 0

    def test_a_deleted_job_does_not_block_the_next_one(self) -> None:
        first, second = self.add_jobs(2)
        self.delete_job(first)
        assert self.claim_everything() == [second]

    def test_a_job_that_was_deleted_while_it_ran_does_not_run_again(self) -> None:
        job_id, claim = self.claimed()
        self.delete_job(job_id)
        # Whether the ending of a deleted job is kept is the store's choice; that it raises is not.
        (accepted,) = self.store.finish_jobs([given_back(job_id, claim)])
        assert accepted in (True, False)
        self.store.promote_due_jobs(100)
        assert self.store.claim_next_job(new_worker()) is None, "A deleted job was claimed."

    def test_load_job_returns_the_job(self) -> None:
        job_id = self.add_job(NewJob(parameters=PARAMETERS, max_retries=7))
        job = self.store.load_job(job_id)
        assert (job.id, job.parameters, job.max_retries) == (job_id, PARAMETERS, 7)
        assert job.claim is None, "A job that nobody claimed has no claim."

    def test_load_job_returns_the_claim_of_a_running_job(self) -> None:
        job_id, claim = self.claimed()
        assert self.store.load_job(job_id).claim == claim

    def test_load_job_raises_for_what_is_not_there(self) -> None:
        deleted = self.add_job(NewJob())
        self.delete_job(deleted)
        for job_id in (uuid4(), deleted):
            with pytest.raises(JobNotFound):
                self.store.load_job(job_id)

    def test_is_job_deleted(self) -> None:
        job_id, deleted = self.add_jobs(2)
        self.delete_job(deleted)
        assert self.store.is_job_deleted(job_id) is False
        assert self.store.is_job_deleted(deleted) is True
        assert self.store.is_job_deleted(uuid4()) is True, "A job that never existed counts as deleted."

    def test_an_ended_job_is_not_deleted(self) -> None:
        job_id, claim = self.claimed()
        assert self.store.mark_job_completed(job_id, None, claim=claim)
        assert self.store.is_job_deleted(job_id) is False

    def test_count_claimable_jobs_counts_what_is_ready(self) -> None:
        assert self.store.count_claimable_jobs() == 0
        self.add_jobs(3)
        assert self.store.count_claimable_jobs() == 3
        job = self.store.claim_next_job(new_worker())
        assert job is not None
        assert self.store.count_claimable_jobs() == 2, "A running job is not claimable."
        assert self.store.schedule_retry(job.id, 1, LATER_SECONDS, "", {}, claim=claim_of(job))
        assert self.store.count_claimable_jobs() == 2, "A job that waits for its retry is not claimable."
        self.claim_everything()
        assert self.store.count_claimable_jobs() == 0

    def test_look_ahead_changes_nothing(self) -> None:
        assert self.store.look_ahead(JobSelection()).ready is False
        job_id = self.add_job(NewJob())
        assert self.store.look_ahead(JobSelection()).ready is True
        assert self.store.look_ahead(JobSelection()).ready is True
        self.claim(job_id)
        assert self.store.look_ahead(JobSelection()).ready is False
