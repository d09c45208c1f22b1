"""What lies around a value is read back, and whatever else is under a key is looked at more closely or missed."""

from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django.redis_state.cache import envelope

NOW, BEFORE = b"now-----", b"before--"
TAG, TAG_GENERATION = bytes(range(16)), b"of-a-tag"


def entry_of(value: Any, *, tags: int = 0, **ages: int) -> bytes:
    header = b"\x01" + NOW + bytes([tags]) + (TAG + TAG_GENERATION) * tags
    return header + envelope.pack_tail(value, **ages)


@pytest.mark.parametrize("value", [None, 0, "é", [1, {"a": None}], (1, 2), b"\x00"])
def test_a_plain_entry_of_this_generation_is_read_at_once(value: Any) -> None:
    assert envelope.simple_value_of(entry_of(value), NOW) == value


@pytest.mark.parametrize(
    ("entry", "generation"),
    [
        (entry_of(1), BEFORE),
        (entry_of(1), None),
        (entry_of(1, tags=2), NOW),
        (entry_of(1, grace_ms=5), NOW),
        (entry_of(1)[:12], NOW),
        (entry_of(1)[:-1] + b"{", NOW),
        (b"", NOW),
        (b"somebody else's", NOW),
    ],
)
def test_any_other_entry_is_looked_at_closer(entry: bytes, generation: bytes | None) -> None:
    assert envelope.simple_value_of(entry, generation) is envelope.LOOK_CLOSER


def test_tags_and_ages_are_read_back() -> None:
    entry = entry_of("x", tags=2, grace_ms=5, build_ms=2**40)
    assert envelope.tags_of(entry) == [(TAG.hex(), TAG_GENERATION)] * 2
    assert (envelope.grace_ms_of(entry), envelope.build_ms_of(entry)) == (5, envelope.LARGEST_MS)
    assert envelope.value_of(entry) == "x"
