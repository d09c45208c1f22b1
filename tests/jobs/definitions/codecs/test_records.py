"""Codecs of classes with fields: no field is lost, made up or passed over."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import pytest

from pleme_redis_django.jobs.definitions.codecs.codec import Mismatch, Unsupported
from pleme_redis_django.jobs.definitions.codecs.compiling import Compiler
from pleme_redis_django.jobs.definitions.codecs.records import fields_of_dataclass, fields_of_named_tuple
from tests.jobs.definitions.codecs.types import Address, Line, Place, Positive, Tree, WithSecret


@dataclasses.dataclass(frozen=True, kw_only=True)
class SubLine(Line):
    more: int = 0


def test_a_default_fills_what_an_older_release_has_not_stored() -> None:
    assert Compiler().codec_of(Line).decode({"price": "1"}) == Line(price=Decimal(1))


def test_a_subclass_is_refused_rather_than_cut() -> None:
    with pytest.raises(Mismatch) as refused:
        Compiler().codec_of(Line).encode(SubLine(price=Decimal(1), more=5))
    assert refused.value.accepted == "a Line, not one of a subclass"


@pytest.mark.parametrize(
    ("stored", "problem"),
    [
        ({}, "has no 'price'"),
        ({"price": "1", "sku": 1}, "has the key 'sku' (str), which it does not know"),
    ],
)
def test_a_key_too_few_or_too_many_is_named(stored: dict[str, object], problem: str) -> None:
    with pytest.raises(Mismatch) as refused:
        Compiler().codec_of(Line).decode(stored)
    assert refused.value.problem == problem


def test_what_the_class_itself_refuses_is_told_with_its_reason() -> None:
    with pytest.raises(Mismatch, match=r"is refused by Positive \(ValueError: negative\)"):
        Compiler().codec_of(Positive).decode({"number": -1})


def test_a_key_that_need_not_be_there_may_be_missing() -> None:
    codec = Compiler().codec_of(Address)
    assert codec.encode({"city": "Berlin"}) == codec.decode({"city": "Berlin"}) == {"city": "Berlin"}
    with pytest.raises(Mismatch, match="has no 'city'"):
        codec.encode({"notes": {}})


def test_the_field_of_a_field_is_named_in_the_path() -> None:
    with pytest.raises(Mismatch) as refused:
        Compiler().codec_of(Tree).decode({"name": "a", "branches": [{"name": 1}]})
    assert refused.value.path == ".branches[0].name"


def test_fields_are_those_that_make_one() -> None:
    assert fields_of_dataclass(Tree) == {"name": True, "branches": False}
    assert fields_of_named_tuple(Place) == {"street": True, "since": False}
    with pytest.raises(Unsupported, match="is not made of its fields alone: secret"):
        fields_of_dataclass(WithSecret)
