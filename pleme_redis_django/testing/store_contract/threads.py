"""Concurrency: several threads claim and end jobs at once, and no job is lost or had twice."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import pytest

from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.testing.store_contract.subject import (
    StoreSubject,
    claim_of,
    completed,
    given_back,
    ids_of,
    new_worker,
)

T = TypeVar("T")

THREADS = 6
JOBS = 48
# Reached only by a store that blocks for ever.
DEADLINE_SECONDS = 60.0
LOOK_AGAIN_SECONDS = 0.05
LIMIT = 2


class ConcurrencyTests(StoreSubject):
    """Methods may be called from any thread, each with its own connection."""

    def test_threads_that_claim_one_by_one_never_get_the_same_job(self) -> None:
        ids = self.add_jobs(JOBS)

        def claim_until_dry() -> list[UUID]:
            worker, found = new_worker(), []
            while (job := self.store.claim_next_job(worker)) is not None:
                found.append(job.id)
            return found

        self._assert_each_claimed_once(ids, self.in_threads([claim_until_dry] * THREADS))

    def test_threads_that_claim_in_batches_never_get_the_same_job(self) -> None:
        ids = self.add_jobs(JOBS)

        def claim_until_dry() -> list[UUID]:
            worker, found = new_worker(), []
            while jobs := self.store.claim_jobs(worker, 5, JobSelection()):
                found += ids_of(jobs)
            return found

        self._assert_each_claimed_once(ids, self.in_threads([claim_until_dry] * THREADS))

    def test_of_many_endings_at_once_only_the_holders_is_accepted(self) -> None:
        job_id, late = self.claimed()
        assert self.store.finish_jobs([given_back(job_id, late)]) == [True]
        claim = self.claim(job_id)
        claims = [late, late, claim, late]
        accepted = self.in_threads(
            [
                partial(self.store.mark_job_completed, job_id, index, claim=one)
                for index, one in enumerate(claims)
            ]
        )
        assert accepted == [False, False, True, False]
        assert self.stored(job_id, "results") == 2

    def test_threads_claim_and_end_without_losing_a_job(self) -> None:
        """Half of the claims are given back once: every job is completed in the end, by one attempt."""
        ids = self.add_jobs(JOBS)

        def work() -> list[UUID]:
            worker, ended = new_worker(), []
            while jobs := self.store.claim_jobs(worker, 3, JobSelection()):
                for job in jobs:
                    claim = claim_of(job)
                    if claim.attempt == 1 and job.id.int % 2:
                        assert self.store.finish_jobs([given_back(job.id, claim)]) == [True]
                    else:
                        assert self.store.finish_jobs([completed(job.id, claim, claim.attempt)]) == [True]
                        ended.append(job.id)
            return ended

        ended = [job_id for found in self.in_threads([work] * THREADS) for job_id in found] + work()
        assert sorted(ended) == sorted(ids), "Each job has to be completed, and by one attempt only."

    def test_threads_never_start_more_than_a_limit_and_leave_nobody_waiting(self) -> None:
        if not self.store.supports_limits:
            pytest.skip(f"supports_limits of {type(self.store).__name__} is False")
        self.set_limit("key", "contract", max_running=LIMIT)
        ids = self.add_jobs(JOBS, concurrency_key="contract:1")
        changed, running, ended = threading.Condition(), Counter[str](), list[UUID]()

        def work() -> int:
            worker, most = new_worker(), 0
            while True:
                jobs = self.store.claim_jobs(worker, 3, JobSelection())
                with changed:
                    running["jobs"] += len(jobs)
                    most = max(most, running["jobs"])
                    if len(ended) == JOBS:
                        return most
                    if not jobs:
                        # Until somebody has ended one, and for a moment where it has done so just before.
                        changed.wait(LOOK_AGAIN_SECONDS)
                        continue
                    running["jobs"] -= len(jobs)
                assert all(self.store.finish_jobs([completed(job.id, claim_of(job)) for job in jobs]))
                self.store.release_after(jobs)
                with changed:
                    ended.extend(ids_of(jobs))
                    changed.notify_all()

        assert max(self.in_threads([work] * THREADS)) <= LIMIT, "More ran at once than the limit lets."
        assert sorted(ended) == sorted(ids)

    def in_threads(self, functions: Sequence[Callable[[], T]]) -> list[T]:
        """Run the functions at the same time, each in a thread; return what they returned."""
        results: list[Any] = [None] * len(functions)
        errors: list[BaseException] = []
        start = threading.Barrier(len(functions))

        def run(index: int) -> None:
            try:
                start.wait(DEADLINE_SECONDS)
                results[index] = functions[index]()
            except BaseException as error:
                errors.append(error)
            finally:
                self.leave_thread()

        threads = [
            threading.Thread(target=run, args=(index,), daemon=True) for index in range(len(functions))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE_SECONDS)
            assert not thread.is_alive(), f"A thread still waits for the store after {DEADLINE_SECONDS} s."
        if errors:
            raise errors[0]
        return results

    def _assert_each_claimed_once(self, ids: Sequence[UUID], found: Sequence[Sequence[UUID]]) -> None:
        # A row that another thread has locked is skipped, so that the last ones may be left over.
        claims = Counter(job_id for one in found for job_id in one) + Counter(self.claim_everything())
        twice = [job_id for job_id, count in claims.items() if count > 1]
        assert not twice, f"{len(twice)} of {len(ids)} jobs were claimed more than once."
        assert set(claims) == set(ids), (
            f"{len(set(ids) - set(claims))} of {len(ids)} jobs were never claimed."
        )
