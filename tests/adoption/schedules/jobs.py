"""Jobs that imported schedules call."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from pleme_redis_django import job


@job(name="tests.imports.report")
def report(shop: str, pages: int = 1) -> str:
    return f"{shop}: {pages}"


@job(name="tests.imports.noop")
def noop() -> None:
    """Do nothing."""


@job(name="tests.imports.charge")
def charge(order: UUID, amount: Decimal) -> None:
    """Do nothing."""


@job(name="tests.imports.anything")
def anything(**kwargs: Any) -> None:
    """Do nothing."""
