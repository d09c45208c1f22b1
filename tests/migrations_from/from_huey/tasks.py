"""The shop's tasks with Huey."""

from __future__ import annotations

from huey.contrib.djhuey import db_task
from shop import work


@db_task()
def send_receipt(order_id: str) -> str:
    return work.send_receipt(order_id)


@db_task(retries=3, retry_delay=1)
def sync_stock(tag: str) -> None:
    work.sync_stock(tag)


@db_task()
def remind(tag: str) -> None:
    work.remind(tag)
