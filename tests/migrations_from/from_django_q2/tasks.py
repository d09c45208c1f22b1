"""The shop's functions that django-q2 runs."""

from __future__ import annotations

from shop import work


def send_receipt(order_id: str) -> str:
    return work.send_receipt(order_id)


def sync_stock(tag: str) -> None:
    work.sync_stock(tag)


def remind(tag: str) -> None:
    work.remind(tag)
