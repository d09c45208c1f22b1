"""The contract on a store of only the eleven methods: every batch form is the default one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import pytest

from pleme_redis_django import JobClaim, JobStore, QueuedJob, WorkerPool, WorkerPoolConfig
from pleme_redis_django.exceptions import InvalidSettings
from pleme_redis_django.testing import JobStoreContract, ManualClock, MemoryJob, MemoryJobStore, NewJob
from tests.jobs.recording import FunctionExecutor


class ElevenMethodStore(JobStore[MemoryJob]):
    """What a user's first store looks like. Due jobs become ready when a worker asks for one."""

    def __init__(self, jobs: MemoryJobStore) -> None:
        self._jobs = jobs

    def claim_next_job(self, worker_id: str) -> MemoryJob | None:
        self._jobs.promote_due_jobs(1_000)
        return self._jobs.claim_next_job(worker_id)

    def load_job(self, job_id: UUID) -> MemoryJob:
        return self._jobs.load_job(job_id)

    def is_job_deleted(self, job_id: UUID) -> bool:
        return self._jobs.is_job_deleted(job_id)

    def mark_job_running(self, job_id: UUID, *, claim: JobClaim) -> bool:
        return self._jobs.mark_job_running(job_id, claim=claim)

    def mark_job_completed(self, job_id: UUID, results: Any, *, claim: JobClaim) -> bool:
        return self._jobs.mark_job_completed(job_id, results, claim=claim)

    def mark_job_failed(
        self, job_id: UUID, error: str, details: Mapping[str, Any], *, claim: JobClaim
    ) -> bool:
        return self._jobs.mark_job_failed(job_id, error, details, claim=claim)

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
        return self._jobs.schedule_retry(job_id, retry_count, delay_seconds, error, details, claim=claim)

    def find_orphaned_jobs(self) -> Sequence[QueuedJob]:
        return self._jobs.find_orphaned_jobs()

    def find_stale_jobs(self, threshold_seconds: float) -> Sequence[MemoryJob]:
        return self._jobs.find_stale_jobs(threshold_seconds)

    def count_claimable_jobs(self) -> int:
        self._jobs.promote_due_jobs(1_000)
        return self._jobs.count_claimable_jobs()

    def update_progress(self, job_id: UUID, progress: Mapping[str, Any], *, claim: JobClaim) -> bool:
        return self._jobs.update_progress(job_id, progress, claim=claim)


class TestElevenMethods(JobStoreContract):
    claims_by_selection = False
    knows_suspects = False
    counts_snoozes = False
    knows_deadlines = False
    finishes_in_batches = False

    def make_store(self) -> ElevenMethodStore:
        self.clock = ManualClock()
        self.jobs = MemoryJobStore(clock=self.clock)
        return ElevenMethodStore(self.jobs)

    def add_job(self, new: NewJob) -> UUID:
        return self.jobs.add(
            new.job_type,
            parameters=dict(new.parameters),
            max_retries=new.max_retries,
            priority=new.priority,
        ).id

    def delete_job(self, job_id: UUID) -> None:
        self.jobs.delete(job_id)

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)


def test_a_fair_pool_is_refused_and_told_which_ability_it_lacks() -> None:
    store = ElevenMethodStore(MemoryJobStore())
    executor = FunctionExecutor(lambda _job: None)
    with pytest.raises(
        InvalidSettings, match=r"ElevenMethodStore has not the ability supports_fairness.*fair=False"
    ):
        WorkerPool(WorkerPoolConfig(fair=True), None, executor, store)
