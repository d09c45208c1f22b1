"""Makes marks visible that reorder the text around them, so that no text on a page can pass for another."""

from __future__ import annotations

import re

_REORDERING = re.compile("[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")


def without_reordering(text: str) -> str:
    """Return ``text`` with its direction marks as visible escapes, such as \\u202e."""
    return _REORDERING.sub(lambda mark: f"\\u{ord(mark[0]):04x}", text)
