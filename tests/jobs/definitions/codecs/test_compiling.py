"""From an annotation to its codec: however it is written, and which annotations no job can have."""

from __future__ import annotations

import dataclasses
import enum
import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, NewType, TypeVar
from uuid import UUID

import pytest

from pleme_redis_django.jobs.definitions.codecs.codec import Unsupported
from pleme_redis_django.jobs.definitions.codecs.compiling import Compiler
from pleme_redis_django.jobs.definitions.codecs.plain import ANYTHING, TEXT, WHOLE
from tests.jobs.definitions.codecs.types import Kind, Line, OrderId, Tree, WithSecret

T = TypeVar("T")
Number = TypeVar("Number", bound=int)
Nested = NewType("Nested", OrderId)


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (Annotated[int, "pieces"], WHOLE),
        (Annotated[str, ["without a hash"]], TEXT),
        (T, ANYTHING),
        (Number, WHOLE),
        (object, ANYTHING),
        (None, Compiler().codec_of(type(None))),
    ],
    ids=["annotated", "annotated without a hash", "type variable", "bound type variable", "object", "None"],
)
def test_what_stands_for_another_annotation_has_its_codec(annotation: Any, expected: Any) -> None:
    assert Compiler().codec_of(annotation) is expected


@pytest.mark.parametrize(
    ("annotation", "same"),
    [
        (typing.List[int], list[int]),  # noqa: UP006 - as people write it too
        (typing.Optional[Decimal], Decimal | None),  # noqa: UP045 - as people write it too
        (typing.Dict, dict),  # noqa: UP006 - as people write it too
        (Mapping[str, int], dict[str, int]),
        (Nested, UUID),
    ],
    ids=str,
)
def test_an_older_way_of_writing_is_the_same(annotation: Any, same: Any) -> None:
    codec, other = Compiler().codec_of(annotation), Compiler().codec_of(same)
    assert (codec.annotation, codec.forms, codec.types) == (other.annotation, other.forms, other.types)


def test_a_sequence_is_said_as_it_is_written() -> None:
    assert Compiler().codec_of(Sequence[int]).annotation == "Sequence[int]"


def test_a_class_is_made_once_though_it_contains_itself() -> None:
    compiler = Compiler()
    assert compiler.codec_of(Tree) is compiler.codec_of(Tree)
    assert compiler.codec_of(list[Tree]).decode([{"name": "a", "branches": [{"name": "b"}]}]) == [
        Tree("a", [Tree("b")])
    ]


def test_literals_of_a_union_are_one_choice() -> None:
    codec = Compiler().codec_of(Literal["all"] | int | Literal["none"])
    assert [codec.decode(stored) for stored in ("all", 5, "none")] == ["all", 5, "none"]


def test_a_class_is_an_enum_before_it_is_anything_else() -> None:
    @dataclasses.dataclass(frozen=True)
    class Named:
        title: str

    class Titles(Named, enum.Enum):
        A = "a title"

    assert Compiler().codec_of(Titles).encode(Titles.A) == "A"


class Plain:
    pass


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Plain, "no form in JSON"),
        (complex, "no form in JSON"),
        (Callable[[], None], "no form in JSON"),
        (type[int], "no form in JSON"),
        (list[Plain], "Plain has no form in JSON"),
        (date | datetime, "date and datetime may be the same as JSON"),
        (str | UUID | None, "str and UUID may be the same as JSON"),
        (Line | Tree, "Line and Tree may be the same as JSON"),
        (Decimal | int, "may be the same as JSON"),
        (dict[tuple[int, int], int], "the keys of an object are text as JSON"),
        (dict[float, int], "the keys of an object are text as JSON"),
        (WithSecret, "is not made of its fields alone: secret"),
        (Literal["card", Kind.CARD], "are the same as JSON"),
        (Literal[b"a"], "is a bytes"),
    ],
)
def test_an_annotation_that_no_job_can_have_is_refused_with_a_reason(annotation: Any, words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        Compiler().codec_of(annotation)


def test_the_field_of_a_record_is_named() -> None:
    with pytest.raises(Unsupported, match=r"Holder\.thing: .*Plain has no form in JSON"):
        Compiler().codec_of(dataclasses.make_dataclass("Holder", [("thing", Plain)]))
