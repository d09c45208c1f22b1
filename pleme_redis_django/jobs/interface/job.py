"""What a job is: its protocol, its statuses and their transitions, a claim on it, a hint about it."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

PRIORITY_LOW, PRIORITY_HIGH = -100, 100

# One death may be a neighbour's fault: a job that ran at two of them is a suspect.
SUSPECT_AFTER_CRASHES = 2
# A death that nobody saw is most often that of a host, and a long job meets those of a fleet: so many in
# a row are needed. One that is as likely as not to lose its host gets there once in 32 times.
SUSPECT_AFTER_UNSEEN_DEATHS = 5


class JobStatus(enum.StrEnum):
    """Where a job is in its life; ``can_become`` tells what may come next."""

    PENDING = "PENDING"
    """Not due yet: scheduled, or waiting for a retry."""
    BLOCKED = "BLOCKED"
    """Due, and waits for a place in a limit, for a token of a rate, or for its turn in an order."""
    QUEUED = "QUEUED"
    """Ready to run."""
    RUNNING = "RUNNING"
    """Claimed by a worker."""
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_terminal(self) -> bool:
        """Whether no worker will touch the job again; only an operator's retry leads out."""
        return self in _TERMINAL

    def can_become(self, status: JobStatus) -> bool:
        """Whether a job of this status may next have ``status``."""
        return status in _NEXT[self]


WAITING_STATUSES = (JobStatus.PENDING, JobStatus.BLOCKED, JobStatus.QUEUED)

_TERMINAL = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED})
_NEXT: dict[JobStatus, frozenset[JobStatus]] = {
    # BLOCKED: its line of a strict order has others before it.
    JobStatus.PENDING: frozenset({JobStatus.QUEUED, JobStatus.BLOCKED, JobStatus.CANCELLED}),
    # PENDING again: an operator has rescheduled it.
    JobStatus.BLOCKED: frozenset({JobStatus.QUEUED, JobStatus.CANCELLED, JobStatus.PENDING}),
    # BLOCKED: it stood at the head of the ready jobs while its limit was full.
    JobStatus.QUEUED: frozenset(
        {JobStatus.RUNNING, JobStatus.BLOCKED, JobStatus.CANCELLED, JobStatus.PENDING}
    ),
    JobStatus.RUNNING: frozenset(JobStatus) - {JobStatus.RUNNING},
    JobStatus.COMPLETED: frozenset(),
    JobStatus.FAILED: frozenset({JobStatus.QUEUED, JobStatus.BLOCKED}),
    JobStatus.CANCELLED: frozenset({JobStatus.QUEUED, JobStatus.BLOCKED}),
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobClaim:
    """The right to write to a running job: the fencing token of one attempt.

    A store accepts a worker's write only while the job is RUNNING with this worker and attempt.
    """

    worker_id: str
    """Id of the worker process, a UUID in its text form."""
    attempt: int
    """Grows by one at every claim of the job; the first is 1."""


class AnyJob(Protocol):
    """What the engine reads of a job. A project's own job model has these, whatever else it has."""

    @property
    def id(self) -> UUID: ...
    @property
    def job_type(self) -> str: ...
    @property
    def retry_count(self) -> int: ...
    @property
    def max_retries(self) -> int: ...
    @property
    def parameters(self) -> Mapping[str, Any]: ...
    @property
    def configuration(self) -> Mapping[str, Any] | None: ...

    @property
    def claim(self) -> JobClaim | None:
        """The claim under which this job was handed out; None when it is not claimed."""
        ...

    def can_retry(self) -> bool:
        """Whether retries are left, asked of the job as if it had failed."""
        ...

    def calculate_backoff_delay(self) -> int:
        """Seconds to wait before the next attempt, exact: 60 * 2^retry_count, capped at 3600."""
        ...

    def calculate_next_retry_at(self) -> datetime:
        """The time of the next attempt, were the job to fail now (timezone-aware)."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class QueuedJob:
    """A hint that a job is ready. It names the job and carries none of its parameters."""

    job_id: UUID
    product: str
    job_type: str
    retry_count: int
    max_retries: int
    enqueued_at: datetime
