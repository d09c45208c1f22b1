from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pleme_redis_django.exceptions import InvalidName
from pleme_redis_django.redis_state.names import (
    covers,
    includes,
    overlaps,
    validate_channel,
    validate_pattern,
    validate_room,
)


@pytest.mark.parametrize("name", ["order", "order:1", "order:1:paid", "conv:a@b.c", "x=1", "a.b_c-d"])
def test_channels(name: str) -> None:
    assert validate_channel(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ":",
        "a:",
        ":a",
        "a::b",
        "a b",
        "a\n",
        "a:*",
        "*",
        "@a",
        "{a}",
        "ä",
        "a" * 65,
        "a:" * 150 + "a",
        None,
        7,
    ],
)
def test_names_that_are_no_channel(name: object) -> None:
    with pytest.raises(InvalidName, match="Accepted"):
        validate_channel(name)


@pytest.mark.parametrize("name", ["*", "*:a", "a*", "a:b*", "a:**", "a:[b]", "a:?"])
def test_names_that_are_no_pattern(name: str) -> None:
    with pytest.raises(InvalidName):
        validate_pattern(name)


def test_the_products_presence_is_a_room_and_no_channel() -> None:
    assert validate_room("@online") == "@online"
    with pytest.raises(InvalidName):
        validate_channel("@online")


@pytest.mark.parametrize(
    ("pattern", "channel", "expected"),
    [
        ("order:*", "order:1", True),
        ("order:*", "order:1:paid", True),
        ("order:*", "order", False),
        ("order:*", "orders:1", False),
        ("order:*:paid", "order:1:paid", True),
        ("order:*:paid", "order:1:2:paid", False),
        ("order:1", "order:1", True),
        ("order:1", "order:12", False),
        ("a.b:*", "axb:1", False),
    ],
)
def test_covers(pattern: str, channel: str, expected: bool) -> None:
    assert covers(pattern, channel) is expected


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        ("room:*", "room:1", True),
        ("room:*", "room:*", True),
        ("room:*", "room:*:x", True),
        ("room:*", "room", False),
        ("room:*:x", "room:*", False),
        ("room:*:x", "room:1:x", True),
        ("room:1:*", "room:*", False),
        ("room:1:*", "room:*:a", False),
        ("room:1", "room:*", False),
    ],
)
def test_includes(outer: str, inner: str, expected: bool) -> None:
    assert includes(outer, inner) is expected


_segments = st.lists(st.sampled_from(["a", "b", "*"]), min_size=0, max_size=3)
_names = _segments.map(lambda rest: ":".join(["h", *rest]))


@given(
    outer=_names, inner=_names, channel=_segments.map(lambda rest: ":".join(["h", *rest]).replace("*", "c"))
)
def test_what_includes_says_holds_for_every_channel(outer: str, inner: str, channel: str) -> None:
    if includes(outer, inner) and covers(inner, channel):
        assert covers(outer, channel)


@given(one=_names, other=_names, channel=_segments.map(lambda rest: ":".join(["h", *rest]).replace("*", "c")))
def test_a_channel_of_both_patterns_means_that_they_overlap(one: str, other: str, channel: str) -> None:
    if covers(one, channel) and covers(other, channel):
        assert overlaps(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("a:b", "a:c"), ("a:*", "b:*"), ("a", "a:b"), ("a:*:x", "a:b"), ("a:*:x", "a:b:y"), ("a", "a:*")],
)
def test_patterns_without_a_common_channel_do_not_overlap(one: str, other: str) -> None:
    assert not overlaps(one, other)
    assert not overlaps(other, one)
