"""Types that handlers of a shop may name in their annotations."""

from __future__ import annotations

import dataclasses
import enum
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, NewType, NotRequired, TypedDict
from uuid import UUID

OrderId = NewType("OrderId", UUID)
Currency = Literal["EUR", "USD"]
Price = Annotated[Decimal, "in the currency of the order"]


class Kind(enum.Enum):
    CARD = "card"
    CASH = "cash"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Colour(enum.StrEnum):
    RED = "red"


class Shape(enum.Enum):
    """By name: no JSON is the same as these values."""

    POINT = (0, 0)
    LINE = (0, 1)


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class Renamed(enum.Enum):
    NEW = "new"

    @classmethod
    def _missing_(cls, value: object) -> Renamed | None:
        return cls.NEW if value == "old" else None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    price: Price
    count: int = 1
    kind: Kind = Kind.CARD


@dataclasses.dataclass
class Tree:
    name: str
    branches: list[Tree] = dataclasses.field(default_factory=list)
    size: int = dataclasses.field(init=False, default=0)


@dataclasses.dataclass
class Positive:
    number: int

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ValueError("negative")


@dataclasses.dataclass
class WithSecret:
    name: str
    secret: dataclasses.InitVar[str]


class Place(NamedTuple):
    street: str
    since: date | None = None


class Address(TypedDict):
    city: str
    since: NotRequired[date]
    notes: NotRequired[dict[str, Any]]
