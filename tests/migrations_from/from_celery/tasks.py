"""The shop's tasks with Celery."""

from __future__ import annotations

from celery import shared_task
from shop import work


@shared_task
def send_receipt(order_id: str) -> str:
    return work.send_receipt(order_id)


@shared_task(autoretry_for=(work.StockUnavailable,), max_retries=3, retry_backoff=1, retry_jitter=False)
def sync_stock(tag: str) -> None:
    work.sync_stock(tag)


@shared_task
def remind(tag: str) -> None:
    work.remind(tag)
