"""Arguments are plain and small, whatever they came in."""

from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django.adoption.schedules.entry import CannotExpress
from pleme_redis_django.adoption.schedules.plain_values import MAX_DEPTH, MAX_VALUES, checked_plain


def test_plain_values_pass() -> None:
    value = {"a": [1, 2.5, "x", None, True, ("y",), b"z"]}
    assert checked_plain(value) is value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({1, 2}, "type set"),
        (3 + 4j, "type complex"),
        (..., "type ellipsis"),
        ({1: "a"}, "a key that is not text"),
        (float("nan"), "the number nan"),
        (float("inf"), "the number inf"),
    ],
)
def test_other_values_are_refused_by_name(value: Any, reason: str) -> None:
    with pytest.raises(CannotExpress, match=reason):
        checked_plain([value])


def test_too_many_values_are_refused() -> None:
    with pytest.raises(CannotExpress, match="more than 10,000 values"):
        checked_plain([0] * (MAX_VALUES + 1))


def test_list_that_is_in_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(CannotExpress, match="nested"):
        checked_plain(value)


def test_deep_nesting_is_refused() -> None:
    value: list[Any] = []
    for _ in range(MAX_DEPTH + 1):
        value = [value]
    with pytest.raises(CannotExpress, match="nested"):
        checked_plain(value)
