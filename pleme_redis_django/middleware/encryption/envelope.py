"""The form in which a row holds what was encrypted. It knows no key, so that whoever shows a row can ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MARK = "$encrypted"
SHOWN = "encrypted"
"""What is shown in place of it: never the ciphertext."""


def envelope(token: str, key_id: str, digests: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return what a row holds; ``digests`` are keyed ones of single values, by which they can be looked for."""
    content: dict[str, Any] = {"token": token, "key": key_id}
    if digests:
        content["digests"] = dict(digests)
    return {MARK: content}


def content_of(value: object) -> Mapping[str, Any] | None:
    """Return what an envelope holds; None: the value is none."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return None
    content = value.get(MARK)
    return content if isinstance(content, Mapping) else None


def is_encrypted(value: object) -> bool:
    return content_of(value) is not None
