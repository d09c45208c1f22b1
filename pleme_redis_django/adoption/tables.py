"""The tables of other queues, as far as a move reads them: whether or not their apps are still installed.

Versions: django-tasks-db 0.13, django-ox 1.9, django-q2 1.11.
"""

from __future__ import annotations

from django.apps.registry import Apps
from django.db import models


class ForeignTable(models.Model):
    """Base of their models: in no registry of Django's, so no migration is made and nothing else finds them."""

    class Meta:
        abstract = True
        apps = Apps()
        app_label = "adoption"
        managed = False

    def __str__(self) -> str:
        return f"{self._meta.db_table} {self.pk}"


class DatabaseTask(ForeignTable):
    """A task of django-tasks-db."""

    id = models.UUIDField(primary_key=True)
    status = models.CharField(max_length=10)
    task_path = models.TextField()
    args_kwargs = models.JSONField()
    queue_name = models.CharField(max_length=32)
    priority = models.IntegerField()
    backend_name = models.CharField(max_length=32)
    run_after = models.DateTimeField()

    class Meta(ForeignTable.Meta):
        db_table = "django_tasks_database_dbtaskresult"


class OxTask(ForeignTable):
    """A task of django-ox."""

    id = models.UUIDField(primary_key=True)
    status = models.CharField(max_length=10)
    task_path = models.CharField(max_length=255)
    args = models.JSONField()
    kwargs = models.JSONField()
    queue_name = models.CharField(max_length=128)
    priority = models.SmallIntegerField()
    backend_name = models.CharField(max_length=128)
    run_after = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField()
    max_attempts = models.PositiveSmallIntegerField()

    class Meta(ForeignTable.Meta):
        db_table = "django_ox_oxtask"


class QueuedPackage(ForeignTable):
    """A task of django-q2's ORM broker: a signed package, and until when a cluster has it."""

    id = models.AutoField(primary_key=True)
    key = models.CharField(max_length=100)
    payload = models.TextField()
    lock = models.DateTimeField(null=True)

    class Meta(ForeignTable.Meta):
        db_table = "django_q_ormq"
