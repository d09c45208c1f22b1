"""Durations in words."""

from __future__ import annotations

import pytest

from pleme_redis_django.durations import duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 ms"),
        (0.0042, "4 ms"),
        (3.14, "3.1 s"),
        (9.97, "10 s"),
        (59.4, "59 s"),
        (60, "1 m"),
        (125, "2 m 5 s"),
        (3_605, "1 h"),
        (90_061, "1 d 1 h"),
    ],
)
def test_a_duration_has_one_or_two_neighbouring_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words
