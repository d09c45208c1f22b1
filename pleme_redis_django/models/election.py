"""Election: who holds a role that one worker of the cluster has at a time."""

from __future__ import annotations

from django.db import models


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
