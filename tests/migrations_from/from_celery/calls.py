"""How the shop enqueues with Celery."""

from __future__ import annotations

from from_celery import tasks


def receipt(order_id: str) -> None:
    tasks.send_receipt.delay(order_id)


def stock(tag: str) -> None:
    tasks.sync_stock.delay(tag)


def reminder(tag: str) -> None:
    tasks.remind.apply_async((tag,), countdown=1)


def wrong() -> None:
    tasks.send_receipt.delay(invoice=1)
