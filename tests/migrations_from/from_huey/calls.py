"""How the shop enqueues with Huey."""

from __future__ import annotations

from from_huey import tasks


def receipt(order_id: str) -> None:
    tasks.send_receipt(order_id)


def stock(tag: str) -> None:
    tasks.sync_stock(tag)


def reminder(tag: str) -> None:
    tasks.remind.schedule((tag,), delay=1)


def wrong() -> None:
    tasks.send_receipt(invoice=1)
