"""What django-q2 would run each night."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone
from django_q.models import Schedule
from django_q.tasks import schedule


def add() -> None:
    tomorrow = timezone.now() + timedelta(days=1)
    schedule(
        "from_django_q2.tasks.remind",
        "#s",
        name="nightly",
        schedule_type=Schedule.DAILY,
        next_run=tomorrow.replace(hour=3, minute=0),
    )
