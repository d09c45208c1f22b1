from __future__ import annotations

import datetime
import enum
import uuid
from collections import namedtuple
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy
from hypothesis import given
from hypothesis import strategies as st

from pleme_redis_django.exceptions import UncacheableValue
from pleme_redis_django.redis_state.cache.codec import decode, encode

ZONES = st.sampled_from(["Europe/Berlin", "America/St_Johns", "UTC"]).map(ZoneInfo)
SCALARS: Any = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=ZONES),
    st.datetimes(timezones=st.just(datetime.UTC)),
    st.times(),
    st.timedeltas(),
)
HASHABLE = SCALARS | st.tuples(SCALARS, SCALARS) | st.frozensets(SCALARS, max_size=3)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(st.text() | st.just("!"), inner, max_size=4),
        st.dictionaries(HASHABLE, inner, max_size=4),
        st.sets(HASHABLE, max_size=4),
    ),
    max_leaves=12,
)


def same(left: Any, right: Any) -> bool:
    """Equal, and of the same types all the way down."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return len(left) == len(right) and all(
            same(a, b)
            for pair in zip(left.items(), right.items(), strict=True)
            for a, b in zip(*pair, strict=True)
        )
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    return bool(left == right)


@given(VALUES)
def test_what_goes_in_comes_out_equal_and_of_the_same_type(value: Any) -> None:
    text, typed = encode(value)
    assert same(decode(text, typed=typed), value)


@given(st.datetimes(timezones=ZONES))
def test_a_time_keeps_its_zone_and_its_fold(value: datetime.datetime) -> None:
    text, typed = encode(value)
    back = decode(text, typed=typed)
    assert (back.tzinfo, back.fold, back.isoformat()) == (value.tzinfo, value.fold, value.isoformat())


def test_markup_stays_safe() -> None:
    text, typed = encode({"html": mark_safe("<b>")})
    assert type(decode(text, typed=typed)["html"]) is SafeString


def test_plain_json_is_not_searched_for_tags() -> None:
    assert encode({"a": [1, "x", None, {"b": 2.5}]})[1] is False


class Colour(enum.IntEnum):
    RED = 1


Point = namedtuple("Point", "x y")  # a tuple's subclass is what is meant


@pytest.mark.parametrize(
    "value",
    [object(), Colour.RED, Point(1, 2), gettext_lazy("x"), {1, Point(1, 2)}, {"a": [datetime]}, Decimal, 1j],
)
def test_other_types_are_refused_by_name_and_place(value: Any) -> None:
    with pytest.raises(UncacheableValue, match=r"value.* which cannot be cached\. Accepted"):
        encode(value)


def test_the_place_of_a_refused_value_is_told() -> None:
    with pytest.raises(UncacheableValue, match=r"value\['rows'\]\[1\] is a builtins\.object"):
        encode({"rows": [uuid.uuid4(), object()]})


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(UncacheableValue, match="nested too deeply"):
        encode(value)


@pytest.mark.parametrize("text", [b'{"!":"os.system","v":"x"}', b'{"!":"decimal","v":"x"}', b"{", b'{"!":1}'])
def test_foreign_text_is_no_value(text: bytes) -> None:
    with pytest.raises(ValueError):
        decode(text, typed=True)


def test_whole_numbers_past_the_limit_of_digits_are_refused() -> None:
    huge = 10**5000
    for value in (huge, [huge], {"n": -huge}, {huge: 1}):
        with pytest.raises(UncacheableValue, match="no text that could be read back"):
            encode(value)
