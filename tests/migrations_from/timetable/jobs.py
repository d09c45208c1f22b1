"""What the imported schedules call."""

from __future__ import annotations

from pleme_redis_django import job


@job
def work(shop: str, pages: int = 1) -> str:
    return f"{shop}: {pages}"
