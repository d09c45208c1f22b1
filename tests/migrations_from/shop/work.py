"""What the tasks do, without a word about the queue that runs them: both sides call these functions."""

from __future__ import annotations


class StockUnavailable(Exception):
    """The warehouse does not answer; it will, the next time."""


def send_receipt(order_id: str) -> str:
    _note(f"receipt {order_id}")
    return f"receipt {order_id}"


def sync_stock(tag: str) -> None:
    from shop.models import Effect

    _note(f"tried stock {tag}")
    if Effect.objects.filter(text=f"tried stock {tag}").count() == 1:
        raise StockUnavailable(tag)
    _note(f"stock {tag}")


def remind(tag: str) -> None:
    _note(f"reminder {tag}")


def _note(text: str) -> None:
    from shop.models import Effect

    Effect.objects.create(text=text)
