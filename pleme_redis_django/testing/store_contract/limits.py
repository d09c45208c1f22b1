"""Limits: how many run at once, how many start in a time, and which come one after the other."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from pleme_redis_django.exceptions import StoreError
from pleme_redis_django.jobs.interface.endings import Ending
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.jobs.worker_pool.abilities import check_abilities
from pleme_redis_django.testing.store_contract.subject import (
    MakeEnding,
    NewJob,
    StoreSubject,
    cancelled,
    claim_of,
    completed,
    failed,
    given_back,
    ids_of,
    new_worker,
    retried,
    snoozed,
)

KEY = "contract:1"
AN_HOUR = 3600.0


class LimitedExecutor:
    """Knows one job, and that declares a limit."""

    def execute(self, job: Any) -> Any:
        """Do nothing."""

    def limited_job_types(self) -> frozenset[str]:
        """Return the names of the jobs that declare limits."""
        return frozenset({"contract"})


class LimitTests(StoreSubject):
    """What a store keeps that says ``supports_limits``; one that does not is refused for jobs that declare some."""

    def test_jobs_that_declare_limits_are_refused_on_a_store_that_keeps_none(self) -> None:
        if self.store.supports_limits:
            check_abilities(LimitedExecutor(), self.store)
        else:
            with pytest.raises(StoreError, match="supports_limits"):
                check_abilities(LimitedExecutor(), self.store)

    @pytest.mark.parametrize(
        ("kind", "name", "within", "beside"),
        [
            ("key", "contract", {"concurrency_key": KEY}, {"concurrency_key": "contract:2"}),
            ("type", "contract", {}, {"job_type": "another"}),
            ("queue", "email", {"queue_name": "email"}, {"queue_name": "sms"}),
            ("product", "ours", {"product": "ours"}, {"product": "theirs"}),
        ],
        ids=["key", "type", "queue", "product"],
    )
    def test_no_more_run_than_a_limit_and_an_ending_lets_the_next_in(
        self, kind: str, name: str, within: dict[str, Any], beside: dict[str, Any]
    ) -> None:
        self.needs_limits()
        self.set_limit(kind, name, max_running=2)
        limited, free = self.add_jobs(4, **within), self.add_job(NewJob(**beside))
        jobs = self.claim_now()
        assert set(ids_of(jobs)) == {*limited[:2], free}, "Two have a place, and one is not of the limit."
        self.assert_waits(*limited[2:])
        self.end(next(job for job in jobs if job.id == free))
        assert self.claim_now() == [], "The place that was left was none of the limit's."
        self.end(next(job for job in jobs if job.id == limited[0]))
        assert ids_of(self.claim_now()) == limited[2:3]
        self.assert_waits(limited[3])

    def test_every_product_has_its_own_limit(self) -> None:
        self.needs_limits()
        self.set_limit("key", "contract", max_running=1)
        ids = [
            self.add_job(NewJob(concurrency_key=KEY, product=product))
            for product in ("ours", "theirs", "ours")
        ]
        assert set(ids_of(self.claim_now())) == set(ids[:2])

    def test_a_job_takes_as_many_places_as_it_costs(self) -> None:
        self.needs_limits()
        self.set_limit("key", "contract", max_running=5)
        ids = [self.add_job(NewJob(concurrency_key=KEY, cost=cost)) for cost in (2, 3, 1)]
        jobs = self.claim_now()
        assert ids_of(jobs) == ids[:2]
        self.end(jobs[0])
        assert ids_of(self.claim_now()) == ids[2:]

    def test_a_lowered_limit_is_drained_down_to_and_a_raised_one_lets_in(self) -> None:
        self.needs_limits()
        self.set_limit("key", "contract", max_running=3)
        ids = self.add_jobs(6, concurrency_key=KEY)
        running = self.claim_now()
        assert len(running) == 3
        self.set_limit("key", "contract", max_running=1)
        for job in running[:2]:
            self.end(job)
            assert self.claim_now() == [], "More run than the lowered limit lets."
        self.end(running[2])
        assert ids_of(self.claim_now()) == ids[3:4]
        self.set_limit("key", "contract", max_running=3)
        assert ids_of(self.claim_now()) == ids[4:]

    def test_a_limit_of_none_is_a_pause(self) -> None:
        self.needs_limits()
        self.set_limit("key", "contract", max_running=0)
        ids = self.add_jobs(3, concurrency_key=KEY)
        assert self.claim_now() == []
        self.assert_waits(*ids)
        self.set_limit("key", "contract", max_running=2)
        assert ids_of(self.claim_now()) == ids[:2]

    def test_a_limit_that_has_ended_lets_all_go_on(self) -> None:
        self.needs_limits()
        self.set_limit("key", "contract", max_running=0)
        ids = self.add_jobs(3, concurrency_key=KEY)
        assert self.claim_now() == []
        self.set_limit("key", "contract")
        assert ids_of(self.claim_now()) == ids

    @pytest.mark.parametrize("make", [completed, failed, cancelled, retried, snoozed])
    def test_every_ending_leaves_its_place(self, make: MakeEnding) -> None:
        self.needs_limits()
        self.set_limit("key", "contract", max_running=1)
        ids = self.add_jobs(2, concurrency_key=KEY)
        (job,) = self.claim_now()
        self.end(job, make(job.id, claim_of(job)))
        assert ids_of(self.claim_now()) == ids[1:]

    def test_what_is_given_back_leaves_its_place_and_needs_one_again(self) -> None:
        self.needs_limits()
        self.set_limit("key", "contract", max_running=1)
        ids = self.add_jobs(3, concurrency_key=KEY)
        (job,) = self.claim_now()
        self.end(job, given_back(job.id, claim_of(job)))
        self.assert_each_runs_alone(ids)

    def test_one_that_waits_may_be_cancelled_or_deleted_and_nobody_waits_for_it(self) -> None:
        self.needs_limits()
        self.set_limit("key", "contract", max_running=1)
        first, gone, deleted, last = self.add_jobs(4, concurrency_key=KEY)
        (job,) = self.claim_now()
        self.cancel_job(gone)
        self.delete_job(deleted)
        self.assert_status(gone, JobStatus.CANCELLED, "it waited, and was cancelled")
        assert self.claim_now() == [], "Who waited had no place to leave."
        self.end(job)
        assert (job.id, ids_of(self.claim_now())) == (first, [last])

    @pytest.mark.parametrize("how", ["cancelled", "deleted"])
    def test_who_was_let_in_and_is_gone_leaves_its_place_to_the_next(self, how: str) -> None:
        self.needs_limits()
        self.set_limit("key", "contract", max_running=1)
        _first, gone, last = self.add_jobs(3, concurrency_key=KEY)
        (job,) = self.claim_now()
        self.end(job)
        self.assert_status(gone, JobStatus.QUEUED, "it was let in")
        self.cancel_job(gone) if how == "cancelled" else self.delete_job(gone)
        assert ids_of(self.claim_now()) == [last]

    def test_a_higher_priority_is_let_in_first(self) -> None:
        self.needs_limits()
        self.set_limit("key", "contract", max_running=1)
        self.add_job(NewJob(concurrency_key=KEY, priority=9))
        low, high = (self.add_job(NewJob(concurrency_key=KEY, priority=priority)) for priority in (1, 5))
        for expected in (high, low):
            (job,) = self.claim_now(1)
            assert self.claim_now() == []
            self.end(job)
            self.assert_status(
                expected, JobStatus.QUEUED, "its turn has come, and it has the highest priority"
            )

    def test_jobs_in_order_run_one_after_the_other(self) -> None:
        self.needs_limits()
        ids = [self.add_job(NewJob(order_key=key)) for key in ("order:1", "order:1", "order:2", "order:1")]
        jobs = {job.id: job for job in self.claim_now()}
        assert set(jobs) == {ids[0], ids[2]}, "One of each order, its oldest."
        self.end(jobs[ids[2]])
        assert self.claim_now() == []
        self.end(jobs[ids[0]])
        self.assert_each_runs_alone([ids[1], ids[3]])

    def test_a_head_that_is_retried_holds_its_line_and_one_that_failed_does_not(self) -> None:
        self.needs_limits()
        self.needs("can_pass_time")
        first, second = self.add_jobs(2, order_key="order:1")
        (job,) = self.claim_now()
        self.end(job, retried(job.id, claim_of(job), delay_seconds=60))
        assert self.claim_now() == [], "Its retry comes first."
        self.pass_time(61)
        (job,) = self.claim_now()
        assert job.id == first
        self.end(job, failed(job.id, claim_of(job)))
        assert ids_of(self.claim_now()) == [second]

    def test_a_head_that_is_cancelled_lets_the_next_in(self) -> None:
        self.needs_limits()
        ids = self.add_jobs(3, order_key="order:1")
        self.cancel_job(ids[0])
        self.assert_each_runs_alone(ids[1:])

    def test_a_burst_starts_and_the_others_as_tokens_come_back(self) -> None:
        self.needs_limits()
        self.needs("can_pass_time")
        self.set_limit("key", "contract", rate=1, per_seconds=AN_HOUR, burst=2)
        ids = self.add_jobs(5, concurrency_key=KEY)
        free = self.add_job(NewJob())
        jobs = self.claim_now()
        assert set(ids_of(jobs)) == {*ids[:2], free}
        self.assert_waits(*ids[2:])
        for job in jobs:
            self.end(job)
        assert self.claim_now() == [], "An ending gives no token back."
        due_in = self.store.look_ahead(JobSelection()).due_in_seconds
        assert due_in is not None and 0 < due_in <= AN_HOUR, f"due_in_seconds of a look: {due_in}."
        started = []
        for _hour in range(3):
            self.pass_time(AN_HOUR)
            started.append(ids_of(self.claim_now()))
        assert started == [[job_id] for job_id in ids[2:]]

    def test_time_without_starts_gives_no_more_than_the_burst(self) -> None:
        self.needs_limits()
        self.needs("can_pass_time")
        self.set_limit("key", "contract", rate=1, per_seconds=AN_HOUR, burst=2)
        self.add_jobs(9, concurrency_key=KEY)
        assert len(self.claim_now()) == 2
        self.pass_time(10 * AN_HOUR)
        assert len(self.claim_now()) == 2

    def test_a_job_takes_as_many_tokens_as_it_costs(self) -> None:
        self.needs_limits()
        self.needs("can_pass_time")
        self.set_limit("key", "contract", rate=1, per_seconds=AN_HOUR, burst=3)
        ids = [self.add_job(NewJob(concurrency_key=KEY, cost=cost)) for cost in (2, 2, 1)]
        assert ids_of(self.claim_now()) == ids[:1]
        self.pass_time(AN_HOUR)
        assert ids_of(self.claim_now()) == ids[1:2], "No smaller one passes it."
        self.pass_time(AN_HOUR)
        assert ids_of(self.claim_now()) == ids[2:]

    def test_a_rate_of_none_is_a_pause(self) -> None:
        self.needs_limits()
        self.set_limit("key", "contract", rate=0)
        ids = self.add_jobs(2, concurrency_key=KEY)
        assert self.claim_now() == []
        self.assert_waits(*ids)
        self.set_limit("key", "contract")
        assert ids_of(self.claim_now()) == ids

    def test_who_waits_for_a_token_takes_no_place(self) -> None:
        self.needs_limits()
        self.set_limit("key", "contract", rate=1, per_seconds=AN_HOUR, burst=1)
        self.set_limit("type", "contract", max_running=2)
        ids = self.add_jobs(3, concurrency_key=KEY)
        free = self.add_job(NewJob())
        assert set(ids_of(self.claim_now())) == {ids[0], free}
        self.assert_waits(*ids[1:])

    # What the tests are written in

    def needs_limits(self) -> None:
        """Skip the test when the store keeps no limits."""
        if not self.store.supports_limits:
            pytest.skip(f"supports_limits of {type(self.store).__name__} is False")

    def claim_now(self, limit: int = 100) -> list[Any]:
        """Claim what may start, as a pool does: until nothing is left to look at."""
        jobs: list[Any] = []
        self.store.promote_due_jobs(100)
        while True:
            found = self.store.claim_jobs(new_worker(), limit - len(jobs), JobSelection())
            jobs += found
            if len(jobs) == limit or (not found and self.store.look_again_in(JobSelection()) is None):
                return jobs
            self.store.look_ahead(JobSelection())

    def end(self, job: Any, ending: Ending | None = None) -> None:
        """End a job, and let in who waits for its place."""
        assert self.store.finish_jobs([ending or completed(job.id, claim_of(job))]) == [True]
        self.store.release_after([job])

    def assert_waits(self, *job_ids: UUID) -> None:
        for job_id in job_ids:
            self.assert_status(job_id, JobStatus.BLOCKED, "it may not start yet")

    def assert_each_runs_alone(self, job_ids: list[UUID]) -> None:
        """Run the jobs; assert that each ran once, one after the other and in this order."""
        ran = []
        while jobs := self.claim_now():
            assert len(jobs) == 1, f"{len(jobs)} run at once."
            self.end(jobs[0])
            ran += ids_of(jobs)
        assert ran == job_ids
