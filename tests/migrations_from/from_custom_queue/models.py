"""A job table such as many projects have written."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class Work(models.Model):
    """One thing to do."""

    kind = models.CharField(max_length=50)
    payload = models.JSONField()
    state = models.CharField(max_length=10, default="new", db_index=True)
    run_at = models.DateTimeField(default=timezone.now)
    tries = models.IntegerField(default=0)

    def __str__(self) -> str:
        return self.kind
