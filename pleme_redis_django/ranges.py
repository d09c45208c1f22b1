"""Ranges of numbers and texts, said once, beside the field that they bind: ``Annotated[int, Whole(1, 64)]``. Pure."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any, get_type_hints


@dataclasses.dataclass(frozen=True, slots=True)
class Whole:
    """The whole numbers from ``low`` to ``high``, both included."""

    low: int
    high: int

    def accepts(self, value: object) -> bool:
        """Whether the value is one of them; True and False are not."""
        return type(value) is int and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"a whole number from {self.low:,} to {self.high:,}"


@dataclasses.dataclass(frozen=True, slots=True)
class Number:
    """The numbers, whole or not, from ``low`` to ``high``, both included."""

    low: float
    high: float

    def accepts(self, value: object) -> bool:
        """Whether the value is one of them; True, False and NaN are not."""
        return type(value) in (int, float) and self.low <= value <= self.high  # type: ignore[operator]  # it is one

    def __str__(self) -> str:
        return f"a number from {self.low:,} to {self.high:,}"


@dataclasses.dataclass(frozen=True, slots=True)
class Text:
    """The texts of ``low`` to ``high`` characters, both included."""

    low: int
    high: int

    def accepts(self, value: object) -> bool:
        """Whether the value is one of them."""
        return isinstance(value, str) and self.low <= len(value) <= self.high

    def __str__(self) -> str:
        return f"text of {self.low:,} to {self.high:,} characters"


@dataclasses.dataclass(frozen=True, slots=True)
class PrintableText:
    """The texts of ``low`` to ``high`` printable characters, both included: no NUL, and no end of a line."""

    low: int
    high: int

    def accepts(self, value: object) -> bool:
        """Whether the value is one of them."""
        return isinstance(value, str) and self.low <= len(value) <= self.high and value.isprintable()

    def __str__(self) -> str:
        return f"text of {self.low:,} to {self.high:,} printable characters"


@cache
def said_beside_fields(cls: type) -> dict[str, Any]:
    """Return what ``Annotated`` says beside each field of a class, for the fields that have it."""
    hints = get_type_hints(cls, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items() if hasattr(hint, "__metadata__")}
