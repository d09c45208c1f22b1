"""What django-celery-beat would send each night."""

from __future__ import annotations

from django_celery_beat.models import CrontabSchedule, PeriodicTask


def add() -> None:
    at_three = CrontabSchedule.objects.create(minute="0", hour="3", timezone="Europe/Berlin")
    PeriodicTask.objects.create(
        name="nightly", task="from_celery.tasks.remind", crontab=at_three, args='["#s"]'
    )
