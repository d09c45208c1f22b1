from __future__ import annotations

import dataclasses
import math
from typing import Annotated

import pytest

from pleme_redis_django.ranges import Number, Text, Whole, said_beside_fields


@pytest.mark.parametrize("value", [1, 64])
def test_both_ends_are_in_a_range(value: int) -> None:
    assert Whole(1, 64).accepts(value)
    assert Number(1, 64).accepts(value)


@pytest.mark.parametrize("value", [0, 65, True, "5", None, math.nan, math.inf])
def test_what_is_no_number_of_the_range_is_refused(value: object) -> None:
    assert not Whole(1, 64).accepts(value)
    assert not Number(1, 64).accepts(value)


def test_a_fraction_is_not_whole() -> None:
    assert not Whole(1, 64).accepts(2.5)
    assert not Whole(1, 64).accepts(2.0)
    assert Number(1, 64).accepts(2.5)


@pytest.mark.parametrize(
    ("value", "is_one"), [("a", True), ("abc", True), ("", False), ("abcd", False), (5, False)]
)
def test_texts_of_a_range(value: object, is_one: bool) -> None:
    assert Text(1, 3).accepts(value) is is_one
    assert str(Text(1, 3)) == "text of 1 to 3 characters"


def test_a_range_is_said_as_a_message_says_it() -> None:
    assert str(Whole(0, 1_000)) == "a whole number from 0 to 1,000"
    assert str(Number(0.05, 3_600)) == "a number from 0.05 to 3,600"


def test_fields_without_a_range_are_left_out() -> None:
    @dataclasses.dataclass
    class Example:
        name: str
        count: Annotated[int, Whole(1, 2)] = 1

    Example.__module__ = __name__
    assert said_beside_fields(Example) == {"count": Whole(1, 2)}
