"""How the shop enqueues with Dramatiq."""

from __future__ import annotations

from from_dramatiq import tasks


def receipt(order_id: str) -> None:
    tasks.send_receipt.send(order_id)


def stock(tag: str) -> None:
    tasks.sync_stock.send(tag)


def reminder(tag: str) -> None:
    tasks.remind.send_with_options(args=(tag,), delay=1000)


def wrong() -> None:
    tasks.send_receipt.send(invoice=1)
