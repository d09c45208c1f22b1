"""The shop's tasks with Procrastinate."""

from __future__ import annotations

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app
from shop import work


@app.task
def send_receipt(order_id: str) -> str:
    return work.send_receipt(order_id)


@app.task(retry=RetryStrategy(max_attempts=3, wait=1))
def sync_stock(tag: str) -> None:
    work.sync_stock(tag)


@app.task(queue="mail")
def remind(tag: str) -> None:
    work.remind(tag)
