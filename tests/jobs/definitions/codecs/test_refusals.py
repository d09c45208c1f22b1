"""What an annotation does not accept is refused, with its place."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import pytest

from pleme_redis_django.jobs.definitions.codecs.codec import Mismatch
from pleme_redis_django.jobs.definitions.codecs.compiling import Compiler
from pleme_redis_django.jobs.definitions.codecs.texts import BYTES_MAX_LENGTH
from tests.jobs.definitions.codecs.types import (
    Address,
    Kind,
    Level,
    Line,
    Positive,
    Right,
    Shape,
    Tree,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SubLine(Line):
    more: int = 0


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (str, 1),
        (str, None),
        (str, b"a"),
        (int, True),
        (int, 1.0),
        (int, "1"),
        (float, True),
        (float, 2**53 + 1),
        (float, 10**400),
        (float, "1"),
        (float, Decimal(1)),
        (bool, 1),
        (bool, "true"),
        (None, 0),
        (datetime, date(2026, 1, 1)),
        (datetime, datetime(2026, 1, 1)),  # noqa: DTZ001 - naive
        (datetime, datetime.min.replace(tzinfo=UTC).isoformat()),
        (date, datetime(2026, 1, 1, tzinfo=UTC)),
        (date, "2026-01-01"),
        (time, time(1, tzinfo=UTC)),
        (timedelta, 5),
        (Decimal, 5),
        (Decimal, 5.0),
        (Decimal, Decimal("NaN")),
        (Decimal, Decimal("-Infinity")),
        (UUID, str(UUID(int=5))),
        (bytes, "a"),
        (bytes, bytearray(b"a")),
        (bytes, bytes(BYTES_MAX_LENGTH + 1)),
        (Kind, "card"),
        (Kind, Level.LOW),
        (Right, 1),
        (Literal["a"], "b"),
        (Literal[1], True),
        (Literal["a"], ["a"]),
        (Line, SubLine(price=Decimal(1))),
        (Line, {"price": "1"}),
        (Address, {}),
        (Address, {"city": "Berlin", "zip": 1}),
        (Address, [("city", "Berlin")]),
        (list[int], (1,)),
        (list[int], [1, True]),
        (tuple[int, int], (1,)),
        (tuple[int, ...], [1]),
        (set[int], [1]),
        (dict[str, int], {1: 1}),
        (dict[int, int], {"1": 1}),
        (int | str, 1.5),
        (Decimal | None, "1"),
    ],
)
def test_a_wrong_value_is_refused(annotation: Any, value: Any) -> None:
    with pytest.raises(Mismatch):
        Compiler().codec_of(annotation).encode(value)


@pytest.mark.parametrize(
    ("annotation", "stored"),
    [
        (str, 1),
        (int, 1.0),
        (int, True),
        (float, "1"),
        (float, 10**400),
        (bool, 1),
        (datetime, "yesterday"),
        (datetime, "2026-01-01T00:00:00"),
        (datetime, "0001-01-01T00:00:00+14:00"),
        (datetime, 5),
        (date, "2026-02-30"),
        (date, None),
        (time, "09:30:00+01:00"),
        (timedelta, "P"),
        (timedelta, "PT"),
        (timedelta, "P99999999999D"),
        (timedelta, 5),
        (Decimal, "NaN"),
        (Decimal, "a"),
        (Decimal, 1.5),
        (UUID, "a"),
        (UUID, 1),
        (bytes, "a"),
        (bytes, "ä"),
        (Kind, "CARD"),
        (Kind, ["card"]),
        (Level, True),
        (Level, 3),
        (Shape, (0, 0)),
        (Right, 8),
        (Right, "READ"),
        (Literal["a"], {}),
        (Line, []),
        (Line, {}),
        (Line, {"price": "1", "sku": 1}),
        (Positive, {"number": -1}),
        (Address, {"city": 1}),
        (list[int], {"0": 1}),
        (tuple[int, int], [1, 2, 3]),
        (set[Any], [[1]]),
        (dict[int, int], {"a": 1}),
        (dict[Decimal, int], {"1": 1, "1.0": 2}),
        (int | str, []),
    ],
)
def test_a_stored_value_that_does_not_fit_is_refused(annotation: Any, stored: Any) -> None:
    with pytest.raises(Mismatch):
        Compiler().codec_of(annotation).decode(stored)


@pytest.mark.parametrize(
    ("annotation", "value", "path"),
    [
        (list[Line], [Line(price=Decimal(1)), Line(price="9")], "[1].price"),
        (Tree, Tree("a", [Tree("b", [Tree(1)])]), ".branches[0].branches[0].name"),
        (dict[str, list[date]], {"a": [], "b": [date(2026, 1, 1), 5]}, "['b'][1]"),
        (tuple[int, Line], (1, Line(price=Decimal(1), count="2")), "[1].count"),
        (Address, {"city": "Berlin", "since": 5}, ".since"),
        (list[Decimal | None], [None, 5], "[1]"),
        (set[str], {5}, "[0]"),
    ],
)
def test_the_place_of_a_wrong_value_is_named(annotation: Any, value: Any, path: str) -> None:
    with pytest.raises(Mismatch) as caught:
        Compiler().codec_of(annotation).encode(value)
    assert caught.value.path == path


def test_a_value_that_cannot_be_shown_is_refused_all_the_same() -> None:
    class Unshowable:
        def __repr__(self) -> str:
            raise RuntimeError

    for value in (Unshowable(), 10**5000):
        with pytest.raises(Mismatch, match="cannot be shown"):
            Compiler().codec_of(str).encode(value)
