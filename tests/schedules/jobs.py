"""Jobs that the tests of schedules enqueue."""

from __future__ import annotations

from pleme_redis_django import job


@job(name="tests.schedules.report", queue_name="reports", priority=3)
def report(shop: str, pages: int = 1) -> str:
    return f"{shop}: {pages}"


@job(name="tests.schedules.only_one", unique="while_running")
def only_one() -> None:
    """Do nothing."""
