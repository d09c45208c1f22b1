"""Codecs of lists, tuples, sets and dicts: equal values are equal text, and no two keys become one."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from pleme_redis_django.jobs.definitions.codecs.codec import Mismatch, Unsupported
from pleme_redis_django.jobs.definitions.codecs.containers import (
    dict_codec,
    list_codec,
    set_codec,
    tuple_codec,
)
from pleme_redis_django.jobs.definitions.codecs.plain import ANYTHING, FLOAT, TEXT, WHOLE
from pleme_redis_django.jobs.definitions.codecs.texts import DECIMAL


def test_sets_that_are_equal_are_the_same_list() -> None:
    codec = set_codec(WHOLE, set)
    assert codec.encode({30, 1, 2}) == codec.encode({2, 30, 1}) == [1, 2, 30]
    mixed = set_codec(ANYTHING, frozenset)
    assert mixed.encode(frozenset([None, "a", 5])) == mixed.encode(frozenset([5, None, "a"]))


def test_items_that_no_set_can_hold_are_refused() -> None:
    with pytest.raises(Mismatch, match="has items that no set can hold"):
        set_codec(ANYTHING, set).decode([[1]])


def test_the_number_of_items_of_a_tuple_is_kept() -> None:
    codec = tuple_codec([WHOLE, TEXT])
    assert codec.decode([1, "a"]) == (1, "a")
    for convert, wrong in ((codec.encode, (1,)), (codec.decode, [1, "a", 2])):
        with pytest.raises(Mismatch, match=rf"has {len(wrong)} items"):
            convert(wrong)


def test_a_sequence_may_be_a_tuple_and_a_list_may_not() -> None:
    assert list(list_codec(WHOLE, any_sequence=True).encode((1, 2))) == [1, 2]
    with pytest.raises(Mismatch):
        list_codec(WHOLE).encode((1, 2))


@pytest.mark.parametrize(
    ("given", "path"), [([1, 2, "3"], "[2]"), ([1, True], "[1]"), ([None, "x"], "[0]")], ids=repr
)
def test_the_first_item_that_is_wrong_is_named(given: list[Any], path: str) -> None:
    with pytest.raises(Mismatch) as refused:
        list_codec(WHOLE).encode(given)
    assert refused.value.path == path


def test_a_list_of_plain_values_is_looked_at_and_not_copied() -> None:
    given = [1, 2, 3]
    assert list_codec(WHOLE).encode(given) is given


def test_keys_are_texts_as_json_and_themselves_again() -> None:
    codec = dict_codec(WHOLE, TEXT)
    assert codec.encode({-5: "a"}) == {"-5": "a"}
    assert codec.decode({"-5": "a"}) == {-5: "a"}
    with pytest.raises(Mismatch) as refused:
        codec.encode({"5": "a"})
    assert refused.value.problem == "has the key '5' (str)"


def test_two_keys_that_become_one_are_refused() -> None:
    with pytest.raises(Mismatch, match=r"has the key '1.0' \(str\) twice"):
        dict_codec(DECIMAL, WHOLE).decode({"1": 1, "1.0": 2})
    assert dict_codec(DECIMAL, WHOLE).decode({"1": 1, "1.5": 2}) == {Decimal(1): 1, Decimal("1.5"): 2}


def test_keys_that_are_not_text_as_json_are_unsupported() -> None:
    with pytest.raises(Unsupported, match="the keys of an object are text as JSON, and float is not"):
        dict_codec(FLOAT, WHOLE)


def test_the_value_of_a_key_is_named() -> None:
    with pytest.raises(Mismatch) as refused:
        dict_codec(TEXT, list_codec(WHOLE)).encode({"a": [], "b": [1, "2"]})
    assert refused.value.path == "['b'][1]"
