"""The shop's tasks with RQ."""

from __future__ import annotations

from django_rq import job
from rq import Retry
from shop import work


@job
def send_receipt(order_id: str) -> str:
    return work.send_receipt(order_id)


@job("default", retry=Retry(max=3, interval=1))
def sync_stock(tag: str) -> None:
    work.sync_stock(tag)


def remind(tag: str) -> None:
    work.remind(tag)
