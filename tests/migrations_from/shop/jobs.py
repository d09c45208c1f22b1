"""The shop's tasks as jobs: where every guide ends."""

from __future__ import annotations

from pleme_redis_django import job
from shop import work


@job
def send_receipt(order_id: str) -> str:
    return work.send_receipt(order_id)


@job(max_retries=3, base_retry_delay=1, retry_on=(work.StockUnavailable,))
def sync_stock(tag: str) -> None:
    work.sync_stock(tag)


@job(queue_name="mail")
def remind(tag: str) -> None:
    work.remind(tag)
