"""What the other schedulers call."""

from __future__ import annotations


def work(shop: str, pages: int = 1) -> None:
    """Do nothing."""
