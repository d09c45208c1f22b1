"""JSON as PostgreSQL's jsonb keeps it: refuses whatever would fail there or come back changed.

Refused: what JSON has no form for, tuples and sets, keys that are not strings, NaN and infinities,
NUL characters, lone surrogates, nesting past 100 levels, and texts over a size limit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from pleme_redis_django.exceptions import NotJson

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_encode_canonically = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True
).encode
_decode = json.loads

MAX_NESTING_LEVELS = 100
"""RFC 8259 lets a parser set a limit. Python's own is another in each version, PostgreSQL and SQLite have
theirs, and what one process could write, each other one has to be able to read."""
# An opening quote always matches, up to the end of the text if need be, and nothing is tried twice: a text
# from outside that never closes its string costs no more than its length.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")

# PostgreSQL can store neither in a text or a jsonb value.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_ESCAPED_NUL = "\\u0000"

# By the exact type: of a subclass, JSON keeps less.
_TEXT = frozenset({str})
_SCALARS = frozenset({str, int, float, bool, type(None)})


def to_json(value: Any, *, max_bytes: int) -> str:
    """Return ``value`` as compact JSON text that reads back equal to it.

    Raises NotJson for anything else, and when the text is longer than ``max_bytes`` in UTF-8.
    """
    try:
        text = _encode(value)
        size = len(text) if text.isascii() else len(text.encode())
        is_deep = is_nested_too_deeply(text)
        unchanged = not is_deep and _ESCAPED_NUL not in text and (_is_flat(value) or _decode(text) == value)
    except (TypeError, ValueError, RecursionError) as error:
        raise NotJson(_fault_of(value) or f"it is not JSON: {error}") from None
    if is_deep:
        raise NotJson(f"it is nested too deeply: more than {MAX_NESTING_LEVELS} levels")
    if not unchanged and (fault := _fault_of(value)):
        raise NotJson(fault)
    if size > max_bytes:
        raise NotJson(f"it is {size:,} bytes as JSON, and the limit is {max_bytes:,}")
    return text


def _is_flat(value: Any) -> bool:
    """Whether a value is a dict of plain values, as most parameters are: no need to read its JSON to compare."""
    return (
        type(value) is dict
        and _TEXT.issuperset(map(type, value))
        and _SCALARS.issuperset(map(type, value.values()))
    )


def is_nested_too_deeply(text: str) -> bool:
    """Tell whether a JSON text has lists and objects inside each other past ``MAX_NESTING_LEVELS``."""
    if text.count("[") + text.count("{") <= MAX_NESTING_LEVELS:
        return False
    brackets = _BRACKET.findall(_STRING.sub("", text))
    return (
        max(accumulate(1 if bracket in "[{" else -1 for bracket in brackets), default=0) > MAX_NESTING_LEVELS
    )


def canonical_json(value: Any) -> str:
    """Return ``value`` as JSON text that is the same for equal values: keys sorted, no spaces."""
    return _encode_canonically(value)


def from_json(text: str) -> Any:
    return _decode(text)


def storable_text(text: str, *, max_bytes: int) -> str:
    """Return ``text`` without NULs and lone surrogates, cut to ``max_bytes`` in UTF-8 with a mark."""
    # One character more than may stay, so that a text which is too long shows.
    text = _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text[: max_bytes + 1])
    encoded = text.encode()
    if len(encoded) <= max_bytes:
        return text
    mark = " [cut]"
    return encoded[: max_bytes - len(mark)].decode(errors="ignore") + mark


def _fault_of(value: Any) -> str | None:
    """Return where and why ``value`` is not accepted: the first fault found, or None."""
    try:
        return _fault_at(value, "")
    except RecursionError:
        return "it is nested too deeply"


def _fault_at(value: Any, path: str) -> str | None:
    where = f"at {path} " if path else ""
    if value is None or isinstance(value, bool | int):
        return None
    if isinstance(value, float):
        return None if value - value == 0 else f"{where}{value} has no form in JSON"
    if isinstance(value, str):
        return _fault_in_text(value, where)
    if isinstance(value, Mapping):
        return _fault_in_mapping(value, path, where)
    if isinstance(value, list):
        faults = (_fault_at(item, f"{path}[{index}]") for index, item in enumerate(value))
        return next(filter(None, faults), None)
    advice = "use a list" if isinstance(value, tuple | set) else "pass text, a number or an id instead"
    return f"{where}a {type(value).__name__} does not survive JSON: {advice}"


def _fault_in_text(text: str, where: str) -> str | None:
    found = _UNSTORABLE.search(text)
    return f"{where}the text holds {found[0]!a}, which PostgreSQL cannot store" if found else None


def _fault_in_mapping(mapping: Mapping[Any, Any], path: str, where: str) -> str | None:
    for key, item in mapping.items():
        if not isinstance(key, str):
            return f"{where}the key {key!r} is not a string, and JSON would turn it into one"
        fault = _fault_in_text(key, where) or _fault_at(item, f"{path}.{key}" if path else key)
        if fault:
            return fault
    return None
