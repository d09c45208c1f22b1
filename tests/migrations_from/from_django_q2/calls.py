"""How the shop enqueues with django-q2."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone
from django_q.models import Schedule
from django_q.tasks import async_task, schedule


def receipt(order_id: str) -> None:
    async_task("from_django_q2.tasks.send_receipt", order_id)


def stock(tag: str) -> None:
    async_task("from_django_q2.tasks.sync_stock", tag)


def reminder(tag: str) -> None:
    schedule(
        "from_django_q2.tasks.remind",
        tag,
        schedule_type=Schedule.ONCE,
        next_run=timezone.now() + timedelta(seconds=1),
    )


def wrong() -> None:
    async_task("from_django_q2.tasks.send_receipt", invoice=1)
