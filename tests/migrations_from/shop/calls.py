"""How the shop enqueues with this package."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from shop import jobs


def receipt(order_id: str) -> None:
    jobs.send_receipt.enqueue(order_id)


def stock(tag: str) -> None:
    jobs.sync_stock.enqueue(tag)


def reminder(tag: str) -> None:
    jobs.remind.using(run_after=timezone.now() + timedelta(seconds=1)).enqueue(tag)


def wrong() -> None:
    jobs.send_receipt.enqueue(invoice=1)
