"""WorkerProcess: the registry of the processes that claim jobs, and their leases."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models.functions import Now

DRAIN_REASON_LENGTH = 200


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
    declared_schedules = models.JSONField(
        null=True,
        blank=True,
        help_text="What its code declares: [product, name, digest] each; NULL: not known.",
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
    drain_reason = models.CharField(
        max_length=DRAIN_REASON_LENGTH,
        blank=True,
        default="",
        db_default="",
        help_text="Why another process takes its place; empty: none does.",
    )
    died_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ("add", "change", "delete", "view", "drain")
        verbose_name = "worker process"
        verbose_name_plural = "worker processes"
        # No index on lease_until: the table is small, and heartbeats that touch no index are cheap (HOT).

    def __str__(self) -> str:
        return f"{self.pool} on {self.host} (pid {self.pid})"

    @property
    def is_draining(self) -> bool:
        """Whether it was asked to drain, or drains."""
        return self.drain_requested_at is not None or self.draining_since is not None
