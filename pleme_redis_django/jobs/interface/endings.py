"""How an attempt ended: one value per kind, each carrying the claim that fences its write."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

from pleme_redis_django.jobs.interface.job import JobClaim, JobStatus


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What went wrong in an attempt, already bounded in size and free of what cannot be stored."""

    message: str
    error_code: str
    exception_class: str
    traceback: str
    fingerprint: str
    """Equal for failures of one cause: digest of job type, exception class and raising line."""
    exception: BaseException | None = dataclasses.field(default=None, repr=False, compare=False)
    """What was raised, for receivers of signals in this process; not stored. None: the engine's own failure."""

    def details(self) -> dict[str, Any]:
        """Return the ``error_details`` of the job's row."""
        return {"error_code": self.error_code, "exception_class": self.exception_class}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Base of all endings."""

    status: ClassVar[JobStatus]
    """What the job's status is once the ending is accepted."""

    job_id: UUID
    claim: JobClaim
    run_seconds: float = 0.0
    """How long the handler ran, by the worker's monotonic clock."""
    progress: Mapping[str, Any] | None = None
    """The last progress of the attempt, when it was not written yet."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Completed(Ending):
    status: ClassVar[JobStatus] = JobStatus.COMPLETED
    results_json: str = "null"
    """The handler's return value as JSON text."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Ending):
    status: ClassVar[JobStatus] = JobStatus.FAILED
    failure: Failure
    crashed: bool = False
    """Whether the worker process died of it: raises the job's ``crash_count``."""
    unseen_death: bool = False
    """Whether the worker process vanished while the job ran: raises its ``unseen_deaths``."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Retried(Ending):
    """Failed, and to be tried again ``delay_seconds`` from the store's now."""

    status: ClassVar[JobStatus] = JobStatus.PENDING
    failure: Failure
    retry_count: int
    """The number of retries, this one included."""
    delay_seconds: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Snoozed(Ending):
    """Not failed, and to be run again ``delay_seconds`` from the store's now; raises the job's ``snoozes``."""

    status: ClassVar[JobStatus] = JobStatus.PENDING
    retry_count: int
    """The number of retries, which stays what it was."""
    delay_seconds: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled(Ending):
    status: ClassVar[JobStatus] = JobStatus.CANCELLED
    failure: Failure


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GivenBack(Ending):
    """Claimed and not to be counted: shutdown, a lost worker, a claim nobody holds."""

    status: ClassVar[JobStatus] = JobStatus.QUEUED
    delay_seconds: float = 0.0
    crashed: bool = False
    """Whether the worker process died while the job ran: raises its ``crash_count``."""
    unseen_death: bool = False
    """Whether the worker process vanished while the job ran: raises its ``unseen_deaths``, and from
    ``SUSPECT_AFTER_UNSEEN_DEATHS`` on makes a suspect of it."""
    failure: Failure | None = None
    """What is kept of the attempt, when there is something to tell."""
