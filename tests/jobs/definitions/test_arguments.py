"""Arguments become parameters stored by name, and the same call again."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from pleme_redis_django.exceptions import InvalidParameters
from pleme_redis_django.jobs.definitions.arguments import accepted_names, as_call, by_name, required_names


def plain(a: int, b: int = 2) -> None:
    """Take two."""


def everything(a: int, /, b: int, *rest: int, c: int = 0, **more: int) -> None:
    """Take anything."""


def places_alone(a: int = 1, b: int = 2, /) -> None:
    """Take two, by their place alone."""


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "stored"),
    [
        (plain, (1,), {"b": 3}, {"a": 1, "b": 3}),
        (plain, (), {"a": 1}, {"a": 1}),
        (everything, (1, 2), {}, {"a": 1, "b": 2}),
        (everything, (1, 2, 3, 4), {"c": 5, "d": 6}, {"a": 1, "b": 2, "*rest": [3, 4], "c": 5, "d": 6}),
        (everything, (1,), {"b": 2, "rest": 3}, {"a": 1, "b": 2, "rest": 3}),
        (places_alone, (5, 6), {}, {"a": 5, "b": 6}),
        (places_alone, (), {}, {}),
    ],
)
def test_a_call_is_stored_by_name_and_comes_back(
    function: Callable[..., None], args: tuple[int, ...], kwargs: dict[str, int], stored: dict[str, Any]
) -> None:
    signature = inspect.signature(function)
    assert by_name(signature.bind(*args, **kwargs)) == stored
    assert as_call(signature, stored, len(args)) == (list(args), kwargs)
    again = as_call(signature, stored)
    assert by_name(signature.bind(*again[0], **again[1])) == stored


def test_two_arguments_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidParameters, match="'a' twice"):
        by_name(inspect.signature(everything).bind(1, 2, a=3))


def test_names_of_parameters() -> None:
    def collects(a: int, *rest: int, c: int = 0) -> None:
        """Take any number."""

    parameters = inspect.signature(collects).parameters.values()
    assert required_names(parameters) == {"a"}
    assert accepted_names(parameters) == {"a", "*rest", "c"}
    assert accepted_names(inspect.signature(everything).parameters.values()) is None
