"""A job model of a project's own, beside the one of the package."""

from __future__ import annotations

from django.db import models

from pleme_redis_django.models import AbstractJob


class EmailJob(AbstractJob):
    """An e-mail to send."""

    recipient = models.EmailField(blank=True)

    class Meta(AbstractJob.Meta):
        verbose_name = "e-mail job"
        verbose_name_plural = "e-mail jobs"
