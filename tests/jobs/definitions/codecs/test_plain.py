"""Codecs of what JSON has itself: nothing is rounded, and a bool is never a number."""

from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django.jobs.definitions.codecs.codec import Codec, Mismatch
from pleme_redis_django.jobs.definitions.codecs.plain import (
    ANYTHING,
    FLAG,
    FLOAT,
    NOTHING,
    NUMBER,
    TEXT,
    WHOLE,
)


@pytest.mark.parametrize("codec", [WHOLE, FLOAT, NUMBER])
@pytest.mark.parametrize("value", [True, False])
def test_a_bool_is_never_a_number(codec: Codec, value: bool) -> None:
    for convert in (codec.encode, codec.decode):
        with pytest.raises(Mismatch, match=rf"is {value} \(bool\)"):
            convert(value)


def test_a_whole_number_that_a_float_would_round_is_refused_and_says_so() -> None:
    assert (FLOAT.encode(2**53), type(FLOAT.encode(2**53))) == (2.0**53, float)
    for value in (2**53 + 1, 10**400):
        with pytest.raises(Mismatch, match="a whole number that a float would round"):
            FLOAT.encode(value)


def test_a_number_stays_whole_or_not_as_it_was_given() -> None:
    for value in (5, 5.0):
        assert type(NUMBER.encode(value)) is type(NUMBER.decode(value)) is type(value)


def test_a_float_that_json_made_whole_is_a_float_again() -> None:
    assert type(FLOAT.decode(10**20)) is float


@pytest.mark.parametrize(
    ("codec", "value", "accepted", "read"),
    [
        (TEXT, 5, "text", "text"),
        (WHOLE, "5", "a whole number (a bool is not one)", "a whole number"),
        (FLOAT, "5", "a finite number (a bool is not one)", "a number"),
        (FLAG, 1, "True or False", "true or false"),
        (NOTHING, 0, "None", "null"),
    ],
)
def test_a_refusal_says_what_is_accepted_in_python_and_in_json(
    codec: Codec, value: Any, accepted: str, read: str
) -> None:
    with pytest.raises(Mismatch) as given:
        codec.encode(value)
    with pytest.raises(Mismatch) as stored:
        codec.decode(value)
    assert (given.value.accepted, stored.value.accepted) == (accepted, read)


def test_anything_is_passed_on_untouched() -> None:
    value = {"a": [1, None, {"b": 2.5}]}
    assert ANYTHING.encode(value) is value
    assert ANYTHING.decode(value) is value
