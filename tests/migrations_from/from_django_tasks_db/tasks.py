"""The shop's tasks with django.tasks: the same with both backends."""

from __future__ import annotations

from django.tasks import task
from shop import work


@task
def send_receipt(order_id: str) -> str:
    return work.send_receipt(order_id)


@task
def sync_stock(tag: str) -> None:
    work.sync_stock(tag)


@task(queue_name="mail")
def remind(tag: str) -> None:
    work.remind(tag)
