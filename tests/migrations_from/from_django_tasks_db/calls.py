"""How the shop enqueues with django.tasks."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from from_django_tasks_db import tasks


def receipt(order_id: str) -> None:
    tasks.send_receipt.enqueue(order_id)


def stock(tag: str) -> None:
    tasks.sync_stock.enqueue(tag)


def reminder(tag: str) -> None:
    tasks.remind.using(run_after=timezone.now() + timedelta(seconds=1)).enqueue(tag)


def wrong() -> None:
    tasks.send_receipt.enqueue(invoice=1)
