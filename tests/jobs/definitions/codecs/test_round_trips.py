"""Each type survives its codec and JSON, whatever its value is; what JSON holds is plain."""

from __future__ import annotations

import json
import typing
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pleme_redis_django.jobs.definitions.codecs.codec import Mismatch
from pleme_redis_django.jobs.definitions.codecs.compiling import Compiler
from pleme_redis_django.jobs.interface.json_text import canonical_json, to_json
from tests.jobs.definitions.codecs.types import (
    Address,
    Colour,
    Currency,
    Kind,
    Level,
    Line,
    OrderId,
    Place,
    Renamed,
    Right,
    Shape,
    Tree,
)

# PostgreSQL stores neither.
TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False)
DATES = st.dates()
# Within the years that each zone has in UTC.
MOMENTS = st.datetimes(
    min_value=datetime(2, 1, 1),  # noqa: DTZ001 - as hypothesis asks for it
    max_value=datetime(9998, 1, 1),  # noqa: DTZ001 - naive
    timezones=st.timezones(),
)
LINES = st.builds(Line, price=DECIMALS, count=st.integers(), kind=st.sampled_from(Kind))
TREES = st.recursive(
    st.builds(Tree, name=TEXTS),
    lambda inside: st.builds(Tree, name=TEXTS, branches=st.lists(inside, max_size=3)),
)
ADDRESSES = st.fixed_dictionaries({"city": TEXTS}, optional={"since": DATES, "notes": st.just({"a": [1]})})

CASES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (str, TEXTS),
    (int, st.integers()),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (int | float, st.integers() | st.floats(allow_nan=False, allow_infinity=False)),
    (bool, st.booleans()),
    (None, st.none()),
    (datetime, MOMENTS.map(lambda moment: moment.astimezone(UTC))),
    (date, DATES),
    (time, st.times()),
    (timedelta, st.timedeltas()),
    (Decimal, DECIMALS),
    (UUID, st.uuids()),
    (OrderId, st.uuids()),
    (bytes, st.binary(max_size=500)),
    (Kind, st.sampled_from(Kind)),
    (Level, st.sampled_from(Level)),
    (Colour, st.sampled_from(Colour)),
    (Shape, st.sampled_from(Shape)),
    (Right, st.sampled_from([Right.READ, Right.READ | Right.WRITE, Right(0)])),
    (Currency, st.sampled_from(["EUR", "USD"])),
    (Literal[1, True, "1", None, Kind.CARD], st.sampled_from([1, True, "1", None, Kind.CARD])),
    (Line, LINES),
    (Tree, TREES),
    (Place, st.builds(Place, TEXTS, st.none() | DATES)),
    (Address, ADDRESSES),
    (list[Line], st.lists(LINES, max_size=5)),
    (list[int], st.lists(st.integers())),
    (list[list[date]], st.lists(st.lists(DATES, max_size=3), max_size=3)),
    (tuple[int, ...], st.lists(st.integers()).map(tuple)),
    (tuple[UUID, Decimal, Kind], st.tuples(st.uuids(), DECIMALS, st.sampled_from(Kind))),
    (tuple[()], st.just(())),
    (set[date], st.sets(DATES)),
    (frozenset[tuple[int, str]], st.frozensets(st.tuples(st.integers(), TEXTS))),
    (dict[str, Decimal], st.dictionaries(TEXTS, DECIMALS)),
    (dict[int, Line], st.dictionaries(st.integers(), LINES, max_size=4)),
    (dict[UUID, None], st.dictionaries(st.uuids(), st.none())),
    (dict[Kind, int], st.dictionaries(st.sampled_from(Kind), st.integers())),
    (dict[Decimal, int], st.dictionaries(DECIMALS, st.integers(), max_size=3)),
    (typing.Optional[Decimal], st.none() | DECIMALS),  # noqa: UP045 - as people write it too
    (int | str | None | list[date], st.none() | st.integers() | TEXTS | st.lists(DATES)),
    (bool | int | Line, st.booleans() | st.integers() | LINES),
    (Literal["all"] | int | Literal["none"], st.sampled_from(["all", "none"]) | st.integers()),
]


@pytest.mark.parametrize(("annotation", "values"), CASES, ids=[str(case[0]) for case in CASES])
@settings(max_examples=25)
@given(data=st.data())
def test_a_value_comes_back_equal_and_of_its_type(
    annotation: Any, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    codec, value = Compiler().codec_of(annotation), data.draw(values)
    encoded = codec.encode(value)
    # Refuses what is not plain JSON, and what would not read back as it is.
    stored = json.loads(to_json(encoded, max_bytes=1_000_000))
    decoded = codec.decode(stored)
    assert decoded == value
    assert type(decoded) is type(value)
    assert canonical_json(codec.encode(decoded)) == canonical_json(encoded)


@pytest.mark.parametrize(
    ("annotation", "value", "stored"),
    [
        (datetime, datetime(2026, 1, 31, 9, 30, tzinfo=UTC), "2026-01-31T09:30:00+00:00"),
        (date, date(2026, 1, 31), "2026-01-31"),
        (time, time(9, 30), "09:30:00"),
        (timedelta, timedelta(days=-1, microseconds=5), "-P0DT23H59M59.999995S"),
        (timedelta, timedelta(), "P0DT00H00M00S"),
        (Decimal, Decimal("9.50"), "9.50"),
        (UUID, UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (bytes, b"\xff\x00", "/wA="),
        (Kind, Kind.CASH, "cash"),
        (Level, Level.HIGH, 2),
        (Shape, Shape.LINE, "LINE"),
        (Right, Right.READ | Right.WRITE, 3),
        (Line, Line(price=Decimal(1)), {"price": "1", "count": 1, "kind": "card"}),
        (set[int], {3, 1, 2}, [1, 2, 3]),
        (dict[int, bool], {5: True}, {"5": True}),
        (float, 3, 3.0),
        (str, Colour.RED, "red"),
        (int, Level.LOW, 1),
        (Literal["red"], Colour.RED, "red"),
    ],
)
def test_what_is_stored_is_plain(annotation: Any, value: Any, stored: Any) -> None:
    encoded = Compiler().codec_of(annotation).encode(value)
    assert encoded == stored
    assert type(encoded) is type(stored)


@given(MOMENTS)
def test_a_moment_of_any_zone_stays_the_moment(moment: datetime) -> None:
    codec = Compiler().codec_of(datetime)
    # Not compared with the moment itself: by PEP 495 one in a gap or a fold equals none of another zone.
    assert codec.decode(codec.encode(moment)) == moment.astimezone(UTC)


def test_a_moment_is_stored_and_given_in_utc() -> None:
    codec = Compiler().codec_of(datetime)
    berlin = datetime.fromisoformat("2026-01-31T10:30:00+01:00")
    assert codec.encode(berlin) == "2026-01-31T09:30:00+00:00"
    assert codec.decode("2026-01-31T10:30:00+01:00").tzinfo is UTC


def test_what_an_older_release_stored_is_read() -> None:
    compiler = Compiler()
    assert compiler.codec_of(Renamed).decode("old") is Renamed.NEW
    assert compiler.codec_of(Line).decode({"price": "1"}) == Line(price=Decimal(1))
    assert compiler.codec_of(Decimal).decode(5) == Decimal(5)
    # jsonb keeps no difference between 1e20 and a whole number.
    assert compiler.codec_of(float).decode(10**20) == 1e20
    assert compiler.codec_of(timedelta).decode("PT90S") == timedelta(seconds=90)


def test_an_any_inside_is_json_as_it_is() -> None:
    codec = Compiler().codec_of(dict[str, Any])
    value = {"a": [1, None, {"b": 2.5}]}
    assert codec.encode(value) == value
    assert codec.decode(value) == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(TEXTS, inside, max_size=3),
    max_leaves=8,
)
OBJECTS = (
    JSON
    | st.binary()
    | st.dates()
    | st.datetimes()
    | DECIMALS
    | st.sampled_from(Kind)
    | LINES
    | st.tuples(JSON)
)


@pytest.mark.parametrize("annotation", [case[0] for case in CASES], ids=[str(case[0]) for case in CASES])
@settings(max_examples=25)
@given(stored=JSON, value=OBJECTS)
def test_whatever_it_is_given_a_codec_takes_it_or_refuses_it(
    annotation: Any, stored: Any, value: Any
) -> None:
    codec = Compiler().codec_of(annotation)
    with suppress(Mismatch):
        codec.decode(stored)
    with suppress(Mismatch):
        codec.encode(value)
