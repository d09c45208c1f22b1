"""The tables behind the dashboard's figures: what workers counted, and what became of it over time.

They hold counts alone, never a job; losing them loses charts.
"""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class WorkerTally(models.Model):
    """What one worker process has ended in a few seconds: written once, taken by the sampler."""

    job_model = models.CharField(max_length=200, help_text="app_label.ModelName in lower case.")
    counted_at = models.DateTimeField(db_default=Now())
    queues = models.JSONField(help_text="One list for each product and queue.")

    class Meta:
        default_permissions = ()
        verbose_name = "worker tally"
        verbose_name_plural = "worker tallies"

    def __str__(self) -> str:
        return f"{self.job_model} at {self.counted_at}"


class QueueRollup(models.Model):
    """One queue, one product or everything, in one step of time."""

    job_model = models.CharField(max_length=200, help_text="app_label.ModelName in lower case.")
    step_seconds = models.PositiveSmallIntegerField(help_text="10, 60, 600 or 3,600.")
    started_at = models.BigIntegerField(help_text="Unix seconds, a multiple of the step.")
    product = models.CharField(max_length=50, blank=True, help_text="Empty: every product.")
    queue_name = models.CharField(max_length=64, blank=True, help_text="Empty: every queue of the product.")
    completed = models.PositiveBigIntegerField(default=0)
    retried = models.PositiveBigIntegerField(default=0)
    failed = models.PositiveBigIntegerField(default=0)
    cancelled = models.PositiveBigIntegerField(default=0)
    waits = models.JSONField(default=dict, help_text="Histogram: bucket to jobs.")
    runs = models.JSONField(default=dict, help_text="Histogram: bucket to jobs.")
    overlooked = models.PositiveBigIntegerField(
        default=0,
        help_text="Jobs that waited although nothing held them; with all products and queues alone.",
    )
    ready = models.PositiveBigIntegerField(default=0, help_text="The most that a measurement found.")
    running = models.PositiveBigIntegerField(default=0, help_text="The most that a measurement found.")
    blocked = models.PositiveBigIntegerField(default=0, help_text="The most that a measurement found.")

    class Meta:
        default_permissions = ()
        verbose_name = "queue rollup"
        verbose_name_plural = "queue rollups"
        constraints = [
            # In this order a chart reads one range of the index.
            models.UniqueConstraint(
                fields=["job_model", "step_seconds", "product", "queue_name", "started_at"],
                name="pleme_queue_rollup_once",
            )
        ]
        indexes = [
            models.Index(fields=["job_model", "step_seconds", "started_at"], name="pleme_queue_rollup_time")
        ]

    def __str__(self) -> str:
        return f"{self.product or 'all'}/{self.queue_name or 'all'} {self.started_at}+{self.step_seconds} s"


class QueueSample(models.Model):
    """The newest measurement of one job table, for every viewer to read instead of counting."""

    job_model = models.CharField(
        max_length=200, primary_key=True, help_text="app_label.ModelName in lower case."
    )
    measured_at = models.DateTimeField(null=True)
    next_measure_at = models.DateTimeField(null=True, help_text="Until then no process counts again.")
    watched_at = models.DateTimeField(null=True, help_text="When somebody last looked at the dashboard.")
    queues = models.JSONField(default=list, help_text="One object for each queue of each product.")

    class Meta:
        default_permissions = ()
        verbose_name = "queue sample"
        verbose_name_plural = "queue samples"

    def __str__(self) -> str:
        return f"{self.job_model} at {self.measured_at}"
