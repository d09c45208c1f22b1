"""Codecs of Enum and Literal: what stands for a member, and what a refusal lists."""

from __future__ import annotations

import enum
from typing import Any, Literal

import pytest

from pleme_redis_django.jobs.definitions.codecs.choices import enum_codec, literal_codec
from pleme_redis_django.jobs.definitions.codecs.codec import Mismatch, Unsupported
from pleme_redis_django.jobs.definitions.codecs.compiling import Compiler
from tests.jobs.definitions.codecs.types import Colour, Kind, Level, Renamed, Right, Shape


def test_a_member_is_stored_by_its_value_and_by_its_name_where_a_value_is_not_json() -> None:
    assert [enum_codec(kind).encode(member) for kind, member in ((Kind, Kind.CASH), (Level, Level.HIGH))] == [
        "cash",
        2,
    ]
    assert enum_codec(Shape).encode(Shape.LINE) == "LINE"
    assert enum_codec(Shape).decode("LINE") is Shape.LINE


def test_one_value_that_is_not_json_has_all_members_stored_by_name() -> None:
    class Mixed(enum.Enum):
        PLAIN = "plain"
        PAIR = (0, 1)

    assert enum_codec(Mixed).encode(Mixed.PLAIN) == "PLAIN"
    with pytest.raises(Mismatch):
        enum_codec(Mixed).decode("plain")


def test_a_value_that_was_renamed_is_what_the_enum_says() -> None:
    assert enum_codec(Renamed).decode("old") is Renamed.NEW
    with pytest.raises(Mismatch):
        enum_codec(Renamed).decode("older")


def test_an_enum_that_breaks_on_an_unknown_value_refuses_it() -> None:
    class Broken(enum.Enum):
        A = "a"

        @classmethod
        def _missing_(cls, value: object) -> Any:
            raise ZeroDivisionError

    with pytest.raises(Mismatch):
        enum_codec(Broken).decode("b")


def test_true_is_not_the_member_whose_value_is_one() -> None:
    with pytest.raises(Mismatch):
        enum_codec(Level).decode(True)


def test_a_refusal_lists_members_for_python_and_values_for_json() -> None:
    with pytest.raises(Mismatch) as given:
        enum_codec(Kind).encode("card")
    with pytest.raises(Mismatch) as stored:
        enum_codec(Kind).decode("CARD")
    assert given.value.accepted == "a member of Kind: CARD, CASH"
    assert stored.value.accepted == "'card', 'cash'"


def test_flags_of_a_project_may_be_named_by_numbers() -> None:
    class Wide(enum.IntFlag):
        A = 1

    codec = enum_codec(Wide)
    assert codec.decode(codec.encode(Wide(5))) == Wide(5)


def test_a_flag_is_a_number_of_its_own_bits() -> None:
    codec = enum_codec(Right)
    assert codec.encode(Right.READ | Right.WRITE) == 3
    for stored in (8, "READ", True):
        with pytest.raises(Mismatch):
            codec.decode(stored)


def test_values_of_a_literal_are_told_apart_by_type_too() -> None:
    codec = literal_codec([1, True, "1", None], Compiler().codec_of)
    for value in (1, True, "1", None):
        assert codec.encode(value) is codec.decode(value) is value
    for wrong in (1.0, 0, [1]):
        with pytest.raises(Mismatch, match=r"is "):
            codec.encode(wrong)


def test_text_of_an_enum_is_the_text_of_the_literal() -> None:
    assert Compiler().codec_of(Literal["red"]).encode(Colour.RED) == "red"


def test_two_values_that_json_cannot_tell_apart_are_no_literal() -> None:
    with pytest.raises(Unsupported, match="are the same as JSON"):
        literal_codec(["card", Kind.CARD], Compiler().codec_of)
