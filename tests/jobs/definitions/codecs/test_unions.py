"""Codecs of unions: JSON tells the members apart, or there is no codec."""

from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django.jobs.definitions.codecs.codec import Mismatch, Unsupported
from pleme_redis_django.jobs.definitions.codecs.containers import list_codec
from pleme_redis_django.jobs.definitions.codecs.moments import DAY, MOMENT
from pleme_redis_django.jobs.definitions.codecs.plain import (
    ANYTHING,
    FLAG,
    FLOAT,
    NOTHING,
    NUMBER,
    TEXT,
    WHOLE,
)
from pleme_redis_django.jobs.definitions.codecs.texts import IDENTIFIER
from pleme_redis_django.jobs.definitions.codecs.unions import union_codec


def test_whole_and_other_numbers_are_one_member() -> None:
    assert union_codec([WHOLE, FLOAT]) is NUMBER
    both = union_codec([FLOAT, NOTHING, WHOLE])
    assert [both.decode(stored) for stored in (5, 5.5, None)] == [5, 5.5, None]
    assert type(both.decode(5)) is int


def test_with_any_it_is_any() -> None:
    assert union_codec([TEXT, ANYTHING]) is ANYTHING


@pytest.mark.parametrize("members", [[NOTHING, DAY], [DAY, NOTHING]], ids=["first", "last"])
def test_none_may_stand_on_either_side(members: list[Any]) -> None:
    codec = union_codec(members)
    assert (codec.encode(None), codec.decode(None)) == (None, None)
    with pytest.raises(Mismatch):
        codec.encode("2026-01-31")


@pytest.mark.parametrize(("one", "other"), [(DAY, MOMENT), (TEXT, IDENTIFIER)])
def test_members_that_json_cannot_tell_apart_are_refused_with_a_way_out(one: Any, other: Any) -> None:
    with pytest.raises(
        Unsupported, match=rf"{one.annotation} and {other.annotation} may be the same as JSON"
    ) as said:
        union_codec([one, NOTHING, other])
    assert "Use two parameters, or a dataclass" in str(said.value)


def test_each_value_goes_to_its_own_member() -> None:
    codec = union_codec([FLAG, WHOLE, list_codec(DAY)])
    assert (codec.encode(True), codec.encode(1)) == (True, 1)
    assert type(codec.encode(True)) is bool
    with pytest.raises(Mismatch) as refused:
        codec.encode([5])
    assert (refused.value.path, refused.value.annotation) == ("[0]", "date")


def test_a_value_of_no_member_is_refused_with_all_of_them() -> None:
    codec = union_codec([FLAG, WHOLE, TEXT])
    for convert in (codec.encode, codec.decode):
        with pytest.raises(Mismatch) as refused:
            convert(1.5)
        assert refused.value.annotation == "bool | int | str"
        assert refused.value.accepted.count(" or ") >= 2
