"""The shop's actors with Dramatiq."""

from __future__ import annotations

import dramatiq
from shop import work


@dramatiq.actor
def send_receipt(order_id: str) -> str:
    return work.send_receipt(order_id)


@dramatiq.actor(max_retries=3, min_backoff=1000)
def sync_stock(tag: str) -> None:
    work.sync_stock(tag)


@dramatiq.actor(queue_name="mail")
def remind(tag: str) -> None:
    work.remind(tag)
