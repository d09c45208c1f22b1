"""AbstractJob and Job: a job as a row."""

from __future__ import annotations

import functools
import sys
import uuid
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, Self

from django.db import models
from django.db.models import Value
from django.db.models.base import ModelState
from django.db.models.functions import Now

from pleme_redis_django.jobs.interface.job import JobClaim, JobStatus
from pleme_redis_django.jobs.interface.queue_names import DEFAULT_QUEUE_NAME
from pleme_redis_django.jobs.interface.retry import DEFAULT_MAX_RETRIES, backoff_delay, following_pool
from pleme_redis_django.models.indexes import job_constraints, job_indexes

if sys.version_info >= (3, 14):
    from uuid import uuid7
else:
    from uuid_utils.compat import uuid7


STATUS_CHOICES = [(status.value, status.value.capitalize()) for status in JobStatus]


def new_job_id() -> uuid.UUID:
    """Return a UUIDv7 (RFC 9562): ids sort by time of creation, and claims by id are first come, first served."""
    return uuid7()


# Migrations of projects name the function by its module: by the one that stays, wherever this file goes.
new_job_id.__module__ = "pleme_redis_django.models"


# One worker process claims many jobs, and formatting its id again for each costs more than the claim.
@functools.lru_cache(maxsize=64)
def _text_of(worker_id: uuid.UUID) -> str:
    return str(worker_id)


class Waiter(Protocol):
    """What ``job.wait()`` and its async twin call."""

    def wait(self, job: AbstractJob, timeout_seconds: float) -> Any: ...

    async def await_result(self, job: AbstractJob, timeout_seconds: float) -> Any: ...


_waiters: list[Waiter] = []


def bind_waiter(waiter: Waiter) -> None:
    """Make ``job.wait()`` use ``waiter``: what waits knows of Redis, and a model does not."""
    _waiters[:] = [waiter]


class AbstractJob(models.Model):
    """A job as a row. Subclass it for a table of your own; keep ``Meta(AbstractJob.Meta)``.

    Rows are written by the engine, with fenced updates. ``save()`` is for new rows only.
    """

    id = models.UUIDField(primary_key=True, default=new_job_id, editable=False)
    product = models.CharField(max_length=50)
    job_type = models.CharField(max_length=200)
    queue_name = models.CharField(max_length=64, default=DEFAULT_QUEUE_NAME)
    priority = models.SmallIntegerField(default=0, help_text="-100 to 100; higher runs first.")
    status = models.CharField(max_length=10, choices=STATUS_CHOICES, default=JobStatus.QUEUED.value)
    parameters = models.JSONField(default=dict, blank=True)
    configuration = models.JSONField(null=True, blank=True)
    metadata = models.JSONField(default=dict, db_default=Value({}, models.JSONField()), blank=True)

    worker_id = models.UUIDField(null=True, blank=True, help_text="Of the last claim.")
    attempt = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Grows by one at every claim: the fencing token."
    )
    claimed_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)

    results = models.JSONField(null=True, blank=True)
    error_message = models.TextField(default="", db_default="", blank=True)
    error_details = models.JSONField(null=True, blank=True)
    error_fingerprint = models.CharField(max_length=32, default="", db_default="", blank=True)
    retry_count = models.PositiveIntegerField(default=0, db_default=0)
    max_retries = models.PositiveIntegerField(default=DEFAULT_MAX_RETRIES)
    snoozes = models.PositiveIntegerField(
        default=0, db_default=0, help_text="How often a handler has put it off, which uses no retry."
    )
    crash_count = models.PositiveIntegerField(
        default=0,
        db_default=0,
        help_text="How often its worker process died while it ran; from 2 on it runs alone.",
    )
    unseen_deaths = models.PositiveIntegerField(
        default=0,
        db_default=0,
        help_text="How many worker processes in a row vanished, most likely with their hosts, while it ran.",
    )
    run_after = models.DateTimeField(db_default=Now(), help_text="Due time: scheduled start or next retry.")
    progress = models.JSONField(null=True, blank=True)
    unique_slot = models.CharField(max_length=64, null=True, blank=True)  # noqa: DJ001 - NULLs are distinct
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)
    deleted_at = models.DateTimeField(null=True, blank=True)

    # Nullable from the start: a field added later is a migration in every project's own job table.
    concurrency_key = models.CharField(max_length=200, null=True, blank=True)  # noqa: DJ001 - absent is no text
    order_key = models.CharField(  # noqa: DJ001 - absent is no text
        max_length=200,
        null=True,
        blank=True,
        help_text="Jobs of a product with the same run one after the other.",
    )
    cost = models.PositiveSmallIntegerField(
        default=1, db_default=1, help_text="How many places or tokens of its limits it takes."
    )
    blocked_on = models.CharField(  # noqa: DJ001 - absent is no text
        max_length=300, null=True, blank=True, help_text="The gate that a BLOCKED job waits at."
    )
    timeout_seconds = models.FloatField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    is_new: bool | None = None
    """Whether the enqueue that returned the job stored it; False: an equal job was there. None: read from the table."""

    waited_seconds: float | None = None
    """How long the job had been due when it was claimed; None in a row that no claim has returned."""

    expires_in_seconds: float | None = None
    """How long after its claim the job may still start; None: without limit, or no claim has returned the row."""

    class Meta:
        abstract = True
        # Permissions of every job model, one of the project's own too; "reschedule" is also run now,
        # and a change of priority or queue.
        default_permissions = ("add", "change", "delete", "view", "retry", "cancel", "reschedule", "pause")
        indexes = job_indexes()
        constraints = job_constraints()

    def __str__(self) -> str:
        return f"{self.job_type} {self.id}"

    @property
    def claim(self) -> JobClaim | None:
        """The claim under which the row is RUNNING, None in every other status."""
        if self.status != JobStatus.RUNNING or self.worker_id is None:
            return None
        return JobClaim(worker_id=_text_of(self.worker_id), attempt=self.attempt)

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody asked to cancel the job."""
        return self.cancel_requested_at is not None

    @property
    def next_retry_at(self) -> datetime | None:
        """When a job that waits for a retry is due; None in every other case."""
        return self.run_after if self.status == JobStatus.PENDING and self.retry_count else None

    def wait(self, timeout: float = 10.0) -> Any:
        """Wait for the job's end, and return its results, as JSON has them; ``timeout``: seconds, 3,600 at most.

        The instance then has the row's status, results and error. Raises JobWaitTimeout when the job has not ended by
        then, JobUnsuccessful when it ended FAILED or CANCELLED, JobNotFound when its row is gone, and
        WrongTransaction inside a transaction.
        """
        return _waiters[0].wait(self, timeout)

    async def await_result(self, timeout: float = 10.0) -> Any:
        """Async twin of ``wait``."""
        return await _waiters[0].await_result(self, timeout)

    def can_retry(self) -> bool:
        """Whether retries are left, asked of the job as if it had failed."""
        return self.retry_count < self.max_retries

    @following_pool
    def calculate_backoff_delay(self) -> int:
        """Seconds to wait before the next attempt, exact: 60 * 2^retry_count, capped at 3600."""
        return int(backoff_delay(self.retry_count))

    def calculate_next_retry_at(self) -> datetime:
        """The time of the next attempt, were the job to fail now."""
        return datetime.now(UTC) + timedelta(seconds=self.calculate_backoff_delay())


class Job(AbstractJob):
    """The job that ``@job`` functions are stored as."""

    class Meta(AbstractJob.Meta):
        verbose_name = "job"
        verbose_name_plural = "jobs"

    @classmethod
    def from_db(
        cls, db: str | None, field_names: Collection[str], values: Collection[Any], **state: Any
    ) -> Self:
        """Build an instance from a row, a fifth of the time of Model.__init__: claims do it per job.

        Sends no ``pre_init`` and no ``post_init``. A field that is not named is deferred, because
        Django looks for it in ``__dict__``. ``state``: what Django 6.1 adds, its fetch mode.
        """
        job = cls.__new__(cls)
        job._state = ModelState()
        job._state.adding = False
        job._state.db = db
        for name, value in state.items():
            setattr(job._state, name, value)
        job.__dict__.update(zip(field_names, values, strict=True))
        return job


def model_label(model: type[models.Model] | models.Model) -> str:
    """Return what JobAttempt.job_model holds for a job model."""
    return str(model._meta.label_lower)
