"""Jobs that the tests of schedules enqueue."""

from __future__ import annotations

from pleme_redis_django import Limit, job, once_per


@job(name="tests.schedules.report", queue_name="reports", priority=3)
def report(shop: str, pages: int = 1) -> str:
    return f"{shop}: {pages}"


@job(name="tests.schedules.only_one", unique="while_running")
def only_one() -> None:
    """Do nothing."""


@job(name="tests.schedules.put_off", unique="while_waiting", on_conflict="extend")
def put_off() -> None:
    """Do nothing."""


@job(name="tests.schedules.once_a_minute", unique=once_per(60))
def once_a_minute() -> None:
    """Do nothing."""


@job(name="tests.schedules.in_order", limits=[Limit(1, key="ledger", in_order=True)])
def in_order() -> None:
    """Do nothing."""
