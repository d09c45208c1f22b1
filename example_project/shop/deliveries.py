"""What a printer delivers: dates, amounts of money and lines, as jobs take and return them."""

from __future__ import annotations

import dataclasses
from decimal import Decimal


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeliveredLine:
    """Prints of one item."""

    code: str
    prints: int
    unit_cost: Decimal


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BookedDelivery:
    """What a booking has put on the shelf, and what it has cost."""

    prints: int
    cost: Decimal
