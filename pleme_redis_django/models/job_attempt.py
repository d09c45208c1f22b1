"""JobAttempt: a failed attempt, kept although its job may run again."""

from __future__ import annotations

from django.db import models
from django.db.models import F
from django.db.models.functions import Now


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
