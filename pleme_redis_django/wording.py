"""Wording that all errors share: the nearest known name, and long values cut. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

SHOWN_CHARACTERS = 60
"""How much of a value a message quotes."""


def did_you_mean(name: object, known: Iterable[str], *, otherwise: str) -> str:
    """Return "Did you mean this?" with the known name nearest to ``name``; ``otherwise`` where none is near."""
    near = difflib.get_close_matches(str(name), list(known), n=1)
    return f"Did you mean {near[0]}?" if near else otherwise


def shortened(text: str, *, characters: int = SHOWN_CHARACTERS) -> str:
    """Return what a message quotes of a text: all of it, or its beginning with ``...`` at the end."""
    return text if len(text) <= characters else f"{text[: characters - 3]}..."
