"""Direction marks: what reorders text is shown, and no other character is touched."""

from __future__ import annotations

import pytest

from pleme_redis_django.direction_marks import without_reordering


@pytest.mark.parametrize(
    "mark", [*"\u200e\u200f\u061c\u2066\u2067\u2068\u2069", *map(chr, range(0x202A, 0x202F))]
)
def test_a_mark_is_shown_as_its_escape(mark: str) -> None:
    assert without_reordering(f"gpj.{mark}exe") == f"gpj.\\u{ord(mark):04x}exe"


@pytest.mark.parametrize(
    "text", ["", "shop.charge", "Größe", "שלום", "مرحبا", "日本語", "a\u200bb", "🛒", "\\u202e"]
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert without_reordering(text) == text
