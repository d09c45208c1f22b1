"""JSON that comes back unchanged from PostgreSQL, and a clear word about what would not."""

from __future__ import annotations

import datetime
import decimal
import enum
import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pleme_redis_django.exceptions import NotJson
from pleme_redis_django.jobs.interface.json_text import canonical_json, from_json, storable_text, to_json

LIMIT = 1_000_000
SURROGATES = ["\ud800", "\udfff", "a\udc00b"]


class Colour(enum.Enum):
    RED = "red"


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


storable_characters = st.characters(exclude_characters="\x00", exclude_categories=["Cs"])
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(10**30), max_value=10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(storable_characters),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(storable_characters), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(json_values)
def test_what_json_can_hold_comes_back_equal(value: Any) -> None:
    assert from_json(to_json(value, max_bytes=LIMIT)) == value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "nan has no form in JSON"),
        ({"a": [1, float("inf")]}, r"at a\[1\] inf has no form"),
        ({"rows": [{"at": (1, 2)}]}, r"at rows\[0\]\.at a tuple does not survive JSON: use a list"),
        ({1: "a"}, "the key 1 is not a string"),
        ({"a": {None: 1}}, "at a the key None is not a string"),
        ({1, 2}, "a set does not survive JSON: use a list"),
        (datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), "a datetime does not survive JSON: pass text"),
        (decimal.Decimal("1.5"), "a Decimal does not survive"),
        (uuid.UUID(int=1), "a UUID does not survive"),
        (b"bytes", "a bytes does not survive"),
        (Colour.RED, "a Colour does not survive"),
        ({"a": "nul \x00 inside"}, r"at a the text holds '\\x00', which PostgreSQL cannot store"),
        ({"nul\x00": 1}, r"holds '\\x00'"),
        (["\ud800"], r"at \[0\] the text holds '\\ud800'"),
        (object(), "a object does not survive"),
        (nested(10_000), "nested too deeply"),
        (10**5_000, "it is not JSON"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_would_change_or_refuse_is_refused_with_its_place(value: Any, message: str) -> None:
    with pytest.raises(NotJson, match=message):
        to_json(value, max_bytes=LIMIT)


def test_the_same_nesting_is_refused_on_every_python() -> None:
    assert from_json(to_json(nested(99), max_bytes=LIMIT)) == nested(99)
    with pytest.raises(NotJson, match="more than 100 levels"):
        to_json(nested(100), max_bytes=LIMIT)


def test_only_what_lies_inside_each_other_is_nesting() -> None:
    wide = [[{"brackets": '[{"\\' * 200}] for _ in range(200)]
    assert from_json(to_json(wide, max_bytes=LIMIT)) == wide


def test_a_list_that_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(NotJson):
        to_json(loop, max_bytes=LIMIT)


def test_a_backslash_before_u0000_is_only_text() -> None:
    value = {"path": "C:\\u0000"}
    assert from_json(to_json(value, max_bytes=LIMIT)) == value


def test_the_limit_counts_bytes_of_utf_8() -> None:
    assert to_json("\u00e9", max_bytes=4) == '"\u00e9"'
    with pytest.raises(NotJson, match="it is 4 bytes as JSON, and the limit is 3"):
        to_json("\u00e9", max_bytes=3)
    with pytest.raises(NotJson, match="10,000,002 bytes"):
        to_json("x" * 10_000_000, max_bytes=LIMIT)


def test_equal_values_have_one_canonical_text() -> None:
    assert (
        canonical_json({"b": [1, {"d": 1, "c": 2}], "a": "\u00e9"}) == '{"a":"\u00e9","b":[1,{"c":2,"d":1}]}'
    )


@given(st.text(max_size=60), st.integers(min_value=10, max_value=80))
def test_storable_text_can_always_be_stored(text: str, max_bytes: int) -> None:
    stored = storable_text(text, max_bytes=max_bytes)
    assert len(stored.encode()) <= max_bytes
    assert "\x00" not in stored
    if stored == text:
        return
    assert "\N{REPLACEMENT CHARACTER}" in stored or stored.endswith(" [cut]")


@pytest.mark.parametrize("letter", ["x", "\u00e9", "\N{WAVING HAND SIGN}"])
def test_a_long_text_is_cut_with_a_mark(letter: str) -> None:
    stored = storable_text(letter * 1_000, max_bytes=100)
    assert stored.endswith(f"{letter} [cut]")
    assert 95 < len(stored.encode()) <= 100
    assert storable_text("x" * 100, max_bytes=100) == "x" * 100


@pytest.mark.parametrize("text", ["a\x00b", *SURROGATES])
def test_what_postgresql_cannot_store_is_replaced(text: str) -> None:
    stored = storable_text(text, max_bytes=100)
    assert "\N{REPLACEMENT CHARACTER}" in stored
    assert json.loads(json.dumps(stored)) == stored
    stored.encode()
