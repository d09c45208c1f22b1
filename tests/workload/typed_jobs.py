"""Jobs whose annotations are more than JSON."""

from __future__ import annotations

import dataclasses
import enum
import math
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from pleme_redis_django import job


class Kind(enum.Enum):
    CARD = "card"
    CASH = "cash"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    price: Decimal
    count: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Receipt:
    order: UUID
    total: Decimal
    at: datetime
    kind: Kind


@job
def charge(order: UUID, at: datetime, kind: Kind, lines: list[Line]) -> Receipt:
    return Receipt(
        order=order, at=at, kind=kind, total=sum((line.price * line.count for line in lines), Decimal())
    )


@job
async def acharge(order: UUID, at: datetime, kind: Kind, lines: list[Line]) -> Receipt:
    return Receipt(
        order=order, at=at, kind=kind, total=sum((line.price * line.count for line in lines), Decimal())
    )


@job(unique="while_waiting")
def close_day(day: date, kinds: set[Kind]) -> int:
    return (day - date.min).days


@job
def average(rates: list[float]) -> float:
    return sum(rates) / len(rates) if rates else math.nan
