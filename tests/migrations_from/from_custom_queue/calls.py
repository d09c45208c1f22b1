"""How the shop enqueues into its own table."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone


def receipt(order_id: str) -> None:
    _add("receipt", {"order_id": order_id})


def stock(tag: str) -> None:
    _add("stock", {"tag": tag})


def reminder(tag: str) -> None:
    _add("reminder", {"tag": tag}, run_at=timezone.now() + timedelta(seconds=1))


def wrong() -> None:
    _add("receipt", {"invoice": 1})


def _add(kind: str, payload: dict[str, object], **columns: object) -> None:
    from from_custom_queue.models import Work

    Work.objects.create(kind=kind, payload=payload, **columns)
