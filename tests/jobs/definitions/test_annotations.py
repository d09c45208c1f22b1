"""The annotations of a handler, read: which codec each parameter and the result has."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from pleme_redis_django.exceptions import InvalidJobDefinition
from pleme_redis_django.jobs.definitions.annotations import codecs_of
from pleme_redis_django.jobs.definitions.handler_types import NOT_DEFINED, Codecs

ORDER = UUID(int=5)


def read(handler: Callable[..., Any]) -> Codecs:
    return codecs_of("shop.handler", handler, inspect.signature(handler))


def ship(order: UUID, note: Any, count=0) -> None: ...


def test_what_has_no_annotation_or_any_type_has_no_codec() -> None:
    codecs = read(ship)
    assert set(codecs.parameters) == {"order"}
    assert codecs.parameters["order"].encode(ORDER) == str(ORDER)
    assert (codecs.others, codecs.result) == (None, None)


def collect(*, note: Any, **orders: UUID) -> UUID: ...


def test_what_is_collected_has_a_codec_of_its_own_and_then_the_others_are_looked_up_too() -> None:
    codecs = read(collect)
    assert codecs.others is not None and codecs.result is not None
    assert codecs.others.encode(ORDER) == codecs.result.encode(ORDER) == str(ORDER)
    assert set(codecs.parameters) == {"note"}


def later(order: Defined) -> None: ...  # noqa: F821 - that is the case


def test_a_name_that_is_not_there_is_told_from_a_type_that_no_job_has() -> None:
    with pytest.raises(NOT_DEFINED):
        read(later)
    with pytest.raises(InvalidJobDefinition, match="annotation of request"):
        read(with_request)


def with_request(request: Callable[[], int]) -> None: ...
