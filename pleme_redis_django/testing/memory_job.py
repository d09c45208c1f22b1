"""MemoryJob: one job of a MemoryJobStore."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from pleme_redis_django.jobs.interface.endings import Ending
from pleme_redis_django.jobs.interface.job import (
    SUSPECT_AFTER_CRASHES,
    WAITING_STATUSES,
    JobClaim,
    JobStatus,
    QueuedJob,
)
from pleme_redis_django.jobs.interface.queue_names import DEFAULT_QUEUE_NAME
from pleme_redis_django.jobs.interface.retry import DEFAULT_MAX_RETRIES, backoff_delay, following_pool
from pleme_redis_django.jobs.interface.selection import JobSelection


@dataclasses.dataclass(slots=True, kw_only=True)
class MemoryJob:
    """A job of a MemoryJobStore. Times are seconds of the store's clock."""

    id: UUID = dataclasses.field(default_factory=uuid4)
    job_type: str = "test"
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict)
    configuration: dict[str, Any] | None = None
    product: str = "default"
    queue_name: str = DEFAULT_QUEUE_NAME
    priority: int = 0
    max_retries: int = DEFAULT_MAX_RETRIES
    concurrency_key: str | None = None
    order_key: str | None = None
    cost: int = 1
    blocked_on: str | None = None
    has_turn: bool = False
    """Whether it is the one of its order key that may run, retries included, until it has ended."""
    retry_count: int = 0
    snoozes: int = 0
    crash_count: int = 0
    unseen_deaths: int = 0
    status: JobStatus = JobStatus.QUEUED
    worker_id: str | None = None
    attempt: int = 0
    run_after: float = 0.0
    timeout_seconds: float | None = None
    expires_at: float | None = None
    expires_in_seconds: float | None = None
    """How long after its claim it may still start; None: without limit, or no claim has returned it."""
    created_at: float = 0.0
    updated_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None
    results: Any = None
    progress: dict[str, Any] | None = None
    error_message: str = ""
    error_details: dict[str, Any] | None = None
    cancel_requested: bool = False
    deleted: bool = False
    last_ending: tuple[JobClaim, type[Ending]] | None = None
    """What a repeated ending is recognised by."""

    @property
    def claim(self) -> JobClaim | None:
        """The claim under which the job is RUNNING, None in every other status."""
        if self.status is not JobStatus.RUNNING or self.worker_id is None:
            return None
        return JobClaim(worker_id=self.worker_id, attempt=self.attempt)

    def can_retry(self) -> bool:
        """Whether retries are left, as if the job had failed now."""
        return self.retry_count < self.max_retries

    @following_pool
    def calculate_backoff_delay(self) -> int:
        """Seconds to wait before the next attempt, exact: 60 * 2^retry_count, capped at 3600."""
        return int(backoff_delay(self.retry_count))

    def calculate_next_retry_at(self) -> datetime:
        """The time of the next attempt, were the job to fail now."""
        return datetime.now(UTC) + timedelta(seconds=self.calculate_backoff_delay())

    def is_ready(self) -> bool:
        """Whether a worker may claim the job now."""
        return self.status is JobStatus.QUEUED and not self.deleted

    def has_expired(self, now: float) -> bool:
        """Whether the job may not start any more."""
        return self.expires_at is not None and self.expires_at <= now

    def ends_instead(self, status: JobStatus) -> JobStatus:
        """Return CANCELLED instead of ``status`` for a job that was asked to end and would wait again."""
        waits = status in WAITING_STATUSES
        return JobStatus.CANCELLED if waits and self.cancel_requested else status

    def is_in(self, selection: JobSelection) -> bool:
        """Whether a claim of this selection may take the job."""
        return (
            (self.crash_count >= SUSPECT_AFTER_CRASHES) is selection.suspects
            and (selection.queue_names is None or self.queue_name in selection.queue_names)
            and (selection.product is None or self.product == selection.product)
            and (selection.job_types is None or self.job_type in selection.job_types)
        )

    def as_hint(self) -> QueuedJob:
        """Return what a queue of hints says of the job."""
        return QueuedJob(
            job_id=self.id,
            product=self.product,
            job_type=self.job_type,
            retry_count=self.retry_count,
            max_retries=self.max_retries,
            enqueued_at=datetime.fromtimestamp(self.created_at, UTC),
        )


def claim_order(job: MemoryJob) -> tuple[int, float]:
    """Return the sort key of claims. Sorting is stable: equal jobs stay in the order they were added."""
    return (-job.priority, job.run_after)


def claim_order_of(selection: JobSelection) -> Callable[[MemoryJob], tuple[float, ...]]:
    """Return the sort key of claims of a selection."""
    aging = selection.aging_seconds_per_point
    return claim_order if aging is None else lambda job: (job.run_after - job.priority * aging,)
