"""What the shop has done, so that both queues can be compared."""

from __future__ import annotations

from django.db import models


class Effect(models.Model):
    """One thing that a task did."""

    text = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.text
