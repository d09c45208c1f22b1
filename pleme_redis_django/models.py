"""The tables of the durable side: jobs, failed attempts, paused queues, worker processes, elections."""

from __future__ import annotations

import functools
import sys
import uuid
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from django.db import models
from django.db.models import F, Q, Value
from django.db.models.base import ModelState
from django.db.models.functions import Now

from pleme_redis_django.jobs.interface.job import DEFAULT_QUEUE_NAME, SUSPECT_AFTER_CRASHES, JobClaim
from pleme_redis_django.jobs.interface.job import JobStatus as JobStatus
from pleme_redis_django.jobs.interface.retry import DEFAULT_MAX_RETRIES, backoff_delay
from pleme_redis_django.statistics_models import QueueRollup, QueueSample, WorkerTally

if sys.version_info >= (3, 14):
    from uuid import uuid7
else:
    from uuid_utils.compat import uuid7

__all__ = [
    "AbstractJob",
    "Dashboard",
    "Election",
    "Job",
    "JobAttempt",
    "JobStatus",
    "QueuePause",
    "QueueRollup",
    "QueueSample",
    "WorkerProcess",
    "WorkerTally",
    "job_constraints",
    "job_indexes",
    "new_job_id",
]

STATUS_CHOICES = [(status.value, status.value.capitalize()) for status in JobStatus]


def new_job_id() -> uuid.UUID:
    """Return a UUIDv7 (RFC 9562): ids sort by time of creation, and claims by id are first come, first served."""
    return uuid7()


# Names of the indexes and the constraint without which claims are slow and unique jobs are not.
READY_INDEX, QUEUE_INDEX, SUSPECT_INDEX, DUE_INDEX, RUNNING_INDEX = "ready", "queue", "solo", "due", "run"
FAILED_INDEX, FAILED_AT_INDEX = "fail", "fails"
SLOT_CONSTRAINT = "slot"
_NAMED = "%(app_label)s_%(class)s_"


# One worker process claims many jobs, and formatting its id anew costs each of them more than its claim.
@functools.lru_cache(maxsize=64)
def _text_of(worker_id: uuid.UUID) -> str:
    return str(worker_id)


def job_indexes(prefix: str = _NAMED) -> list[models.Index]:
    """Return the indexes of a job table; a ``prefix`` of your own has at most 25 characters.

    Django's names end at 30 characters: a model whose app and class names are long says
    ``class Meta(AbstractJob.Meta): indexes = job_indexes("shop_import_")``.
    """
    return [
        # In claim order, and partial, so that finished history never slows a claim down.
        models.Index(
            F("priority").desc(),
            F("run_after"),
            F("id"),
            condition=Q(status="QUEUED", deleted_at=None, crash_count__lt=SUSPECT_AFTER_CRASHES),
            name=prefix + READY_INDEX,
        ),
        # For a pool of one queue: without it a claim reads past the backlog of every other queue.
        models.Index(
            F("queue_name"),
            F("priority").desc(),
            F("run_after"),
            F("id"),
            condition=Q(status="QUEUED", deleted_at=None, crash_count__lt=SUSPECT_AFTER_CRASHES),
            name=prefix + QUEUE_INDEX,
        ),
        models.Index(
            fields=["run_after"],
            condition=Q(status="QUEUED", deleted_at=None, crash_count__gte=SUSPECT_AFTER_CRASHES),
            name=prefix + SUSPECT_INDEX,
        ),
        models.Index(
            fields=["run_after"],
            condition=Q(status="PENDING", deleted_at=None),
            name=prefix + DUE_INDEX,
        ),
        models.Index(fields=["worker_id"], condition=Q(status="RUNNING"), name=prefix + RUNNING_INDEX),
        # What people look for among millions of completed jobs; those never enter it.
        models.Index(
            fields=["id"], condition=Q(status__in=["FAILED", "CANCELLED"]), name=prefix + FAILED_INDEX
        ),
        # Failures by when they happened: a job that is a month old can fail now.
        models.Index(
            F("failed_at").desc(),
            F("id").desc(),
            condition=Q(status="FAILED", deleted_at=None),
            name=prefix + FAILED_AT_INDEX,
        ),
    ]


def job_constraints(prefix: str = _NAMED) -> list[models.BaseConstraint]:
    """Return the constraints of a job table; ``prefix`` as in ``job_indexes``."""
    return [
        models.UniqueConstraint(
            fields=["product", "unique_slot"],
            condition=Q(unique_slot__isnull=False),
            name=prefix + SLOT_CONSTRAINT,
        )
    ]


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
    timeout_seconds = models.FloatField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    waited_seconds: float | None = None
    """How long the job had been due when it was claimed; None in a row that no claim has returned."""

    class Meta:
        abstract = True
        # Permissions of every job model, one of the project's own too; "reschedule" is also run now,
        # and a change of priority or queue.
        default_permissions = (
            "add",
            "change",
            "delete",
            "view",
            "retry",
            "cancel",
            "reschedule",
            "pause",
        )
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

    def can_retry(self) -> bool:
        """Whether retries are left, asked of the job as if it had failed."""
        return self.retry_count < self.max_retries

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


class JobAttempt(models.Model):
    """A failed attempt of a job, kept when the job itself goes on. Shared by every job model."""

    job_model = models.CharField(max_length=200, help_text="app_label.ModelName in lower case.")
    job_id = models.UUIDField()
    product = models.CharField(max_length=50, blank=True, default="", db_default="", help_text="The job's.")
    attempt = models.PositiveIntegerField()
    worker_id = models.UUIDField()
    started_at = models.DateTimeField(null=True, help_text="NULL: the worker died, and nobody knows.")
    ended_at = models.DateTimeField(db_default=Now())
    error_class = models.CharField(max_length=300, blank=True)
    error_code = models.CharField(max_length=100)
    message = models.TextField(blank=True)
    traceback = models.TextField(blank=True)

    class Meta:
        verbose_name = "job attempt"
        verbose_name_plural = "job attempts"
        constraints = [
            models.UniqueConstraint(fields=["job_model", "job_id", "attempt"], name="pleme_job_attempt_once")
        ]
        # The list of those whose staff sees some products alone: newest first, without a look at the jobs.
        indexes = [models.Index(F("product"), F("id").desc(), name="pleme_job_attempt_product")]

    def __str__(self) -> str:
        return f"attempt {self.attempt} of {self.job_id}"


class QueuePause(models.Model):
    """A queue of one job model whose jobs no worker claims for now."""

    job_model = models.CharField(max_length=200, help_text="app_label.ModelName in lower case.")
    product = models.CharField(max_length=50, blank=True, default="", help_text="Empty: every product.")
    queue_name = models.CharField(max_length=64)
    reason = models.TextField(blank=True)
    paused_by = models.CharField(max_length=150, blank=True, help_text="A user's name.")
    paused_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "queue pause"
        verbose_name_plural = "queue pauses"
        constraints = [
            models.UniqueConstraint(
                fields=["job_model", "product", "queue_name"], name="pleme_queue_pause_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.queue_name} of {self.product or 'every product'}"


class WorkerProcess(models.Model):
    """A process that claims jobs; its id is the ``worker_id`` of their rows."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    pool = models.CharField(max_length=64)
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    queues = models.JSONField(default=list)
    product = models.CharField(max_length=50, blank=True, help_text="Empty: every product.")
    job_types = models.JSONField(
        null=True, blank=True, help_text="The types that it knows; NULL: every type."
    )
    slots = models.PositiveIntegerField(help_text="Threads and async slots together.")
    async_slots = models.PositiveIntegerField(default=0, db_default=0, help_text="Of the slots.")
    running = models.PositiveIntegerField(default=0, help_text="Jobs held at the last heartbeat.")
    async_running = models.PositiveIntegerField(default=0, db_default=0, help_text="Async ones of them.")
    is_quarantine = models.BooleanField(
        default=False, db_default=False, help_text="It runs jobs whose worker processes died, and no others."
    )
    release = models.CharField(max_length=100, blank=True)
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now())
    lease_until = models.DateTimeField(help_text="Silent past this time, the process is dead.")
    drain_requested_at = models.DateTimeField(
        null=True, blank=True, help_text="It claims no more, and ends when its running jobs have."
    )
    draining_since = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When it began to drain: a death after that says nothing of its jobs.",
    )
    died_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ("add", "change", "delete", "view", "drain")
        verbose_name = "worker process"
        verbose_name_plural = "worker processes"
        # No index on lease_until: the table is small, and heartbeats that touch no index are cheap (HOT).

    def __str__(self) -> str:
        return f"{self.pool} on {self.host} (pid {self.pid})"


class Election(models.Model):
    """Who holds a role that one worker of the cluster has at a time, and until when.

    A conditional UPDATE of a row, not an advisory lock: it works behind PgBouncer and on SQLite.
    """

    role = models.CharField(max_length=100, primary_key=True)
    holder = models.UUIDField()
    expires_at = models.DateTimeField()

    class Meta:
        verbose_name = "election"
        verbose_name_plural = "elections"

    def __str__(self) -> str:
        return self.role


class Dashboard(models.Model):
    """No table: the entry of the admin behind which the dashboard's pages are, and the permission of one."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = [("release_lock", "Can take a lock away from its holder")]
        verbose_name = "dashboard"
        verbose_name_plural = "dashboard"

    def __str__(self) -> str:
        return "dashboard"


def model_label(model: type[models.Model] | models.Model) -> str:
    """Return what JobAttempt.job_model holds for a job model."""
    return str(model._meta.label_lower)
