"""The tables of other schedulers, as far as an import reads them: whether or not their apps are still installed.

Versions: django-celery-beat 2.9, django-q2 1.11.
"""

# ruff: noqa: DJ001 - NULL where those packages have it

from __future__ import annotations

from django.db import models

from pleme_redis_django.adoption.tables import ForeignTable


class IntervalSchedule(ForeignTable):
    """An interval of django-celery-beat."""

    every = models.IntegerField()
    period = models.CharField(max_length=24)

    class Meta(ForeignTable.Meta):
        db_table = "django_celery_beat_intervalschedule"


class CrontabSchedule(ForeignTable):
    """A crontab of django-celery-beat."""

    minute = models.CharField(max_length=240)
    hour = models.CharField(max_length=96)
    day_of_month = models.CharField(max_length=124)
    month_of_year = models.CharField(max_length=64)
    day_of_week = models.CharField(max_length=64)
    timezone = models.CharField(max_length=63)

    class Meta(ForeignTable.Meta):
        db_table = "django_celery_beat_crontabschedule"


class PeriodicTask(ForeignTable):
    """A task of django-celery-beat with when it is sent, and how."""

    name = models.CharField(max_length=200)
    task = models.CharField(max_length=200)
    interval = models.ForeignKey(
        IntervalSchedule, null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    crontab = models.ForeignKey(
        CrontabSchedule, null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    solar_id = models.IntegerField(null=True)
    clocked_id = models.IntegerField(null=True)
    args = models.TextField()
    kwargs = models.TextField()
    queue = models.CharField(max_length=200, null=True)
    exchange = models.CharField(max_length=200, null=True)
    routing_key = models.CharField(max_length=200, null=True)
    headers = models.TextField(null=True)
    priority = models.PositiveIntegerField(null=True)
    expires = models.DateTimeField(null=True)
    expire_seconds = models.PositiveIntegerField(null=True)
    one_off = models.BooleanField()
    start_time = models.DateTimeField(null=True)
    enabled = models.BooleanField()
    last_run_at = models.DateTimeField(null=True)
    date_changed = models.DateTimeField()

    class Meta(ForeignTable.Meta):
        db_table = "django_celery_beat_periodictask"


class QSchedule(ForeignTable):
    """A schedule of django-q2."""

    id = models.AutoField(primary_key=True)
    name = models.CharField(max_length=100, null=True)
    func = models.CharField(max_length=256)
    hook = models.CharField(max_length=256, null=True)
    args = models.TextField(null=True)
    kwargs = models.TextField(null=True)
    schedule_type = models.CharField(max_length=2)
    minutes = models.PositiveSmallIntegerField(null=True)
    repeats = models.IntegerField()
    next_run = models.DateTimeField(null=True)
    cron = models.CharField(max_length=100, null=True)
    cluster = models.CharField(max_length=100, null=True)
    intended_date_kwarg = models.CharField(max_length=100, null=True)

    class Meta(ForeignTable.Meta):
        db_table = "django_q_schedule"
