"""How the shop enqueues with RQ."""

from __future__ import annotations

from datetime import timedelta

import django_rq

from from_rq import tasks


def receipt(order_id: str) -> None:
    tasks.send_receipt.delay(order_id)


def stock(tag: str) -> None:
    tasks.sync_stock.delay(tag)


def reminder(tag: str) -> None:
    django_rq.get_queue("mail").enqueue_in(timedelta(seconds=1), tasks.remind, tag)


def wrong() -> None:
    tasks.send_receipt.delay(invoice=1)
