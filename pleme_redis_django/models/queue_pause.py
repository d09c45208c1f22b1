"""QueuePause: a queue that no worker claims from."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


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
