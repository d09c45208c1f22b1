"""How the shop enqueues with Procrastinate."""

from __future__ import annotations

from from_procrastinate import tasks


def receipt(order_id: str) -> None:
    tasks.send_receipt.defer(order_id=order_id)


def stock(tag: str) -> None:
    tasks.sync_stock.defer(tag=tag)


def reminder(tag: str) -> None:
    tasks.remind.configure(schedule_in={"seconds": 1}).defer(tag=tag)


def wrong() -> None:
    tasks.send_receipt.defer(invoice=1)
