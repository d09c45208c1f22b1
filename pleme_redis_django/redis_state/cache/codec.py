"""Typed JSON: what goes in comes out equal and of the same type, and nothing is ever executed.

JSON's own types, and tagged as ``{"!": tag, "v": form}``: tuple, set, frozenset, dict with keys that
are not strings, bytes, Decimal, UUID, datetime, date, time, timedelta and Django's SafeString. Any
other type is refused, subclasses included: a model instance that comes back as text would be a bug
that shows only later.
"""

from __future__ import annotations

import base64
import datetime
import json
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.safestring import SafeString

from pleme_redis_django.exceptions import UncacheableValue

MARK = "!"

_NATIVE = frozenset({str, int, float, bool, type(None)})
_encode_json = json.JSONEncoder(separators=(",", ":")).encode
_scan_plain = json.JSONDecoder().raw_decode


def encode(value: Any) -> tuple[bytes, bool]:
    """Return ``value`` as UTF-8 JSON, and whether it holds tags that ``decode`` must look for.

    Raises UncacheableValue, with the place, for a type that is not listed above, and for what cannot be text.
    """
    try:
        typed = value if type(value) in _NATIVE else _to_json(value, "value")
        return _encode_json(typed).encode(), typed is not value
    except RecursionError:
        raise UncacheableValue("value is nested too deeply, or contains itself.") from None
    except ValueError as error:
        # Whole numbers past Python's limit of digits, lone surrogates: nothing could read them back.
        raise UncacheableValue(f"value has no text that could be read back: {error}") from error


def decode(text: bytes, *, typed: bool) -> Any:
    """Return the value that ``encode`` was given. Raises ValueError for text that it did not write."""
    if typed:
        return _decode_typed(text.decode())
    # decode() would look for white space at both ends; encode() never writes any.
    characters = text.decode()
    value, end = _scan_plain(characters)
    if end != len(characters):
        raise ValueError("more than one value")
    return value


def _to_json(value: Any, place: str) -> Any:
    """Return ``value`` itself if JSON has a form for all of it, else a copy with tags."""
    kind = type(value)
    if kind in _NATIVE:
        return value
    if kind is list:
        return _list_to_json(value, place)
    if kind is dict:
        return _dict_to_json(value, place)
    if kind in _FORMS:
        tag, to_form, _ = _FORMS[kind]
        return {MARK: tag, "v": to_form(value, place)}
    raise UncacheableValue(
        f"{place} is a {kind.__module__}.{kind.__qualname__}, which cannot be cached. Accepted: None, bool, int, "
        "float, str, bytes, list, tuple, dict, set, frozenset, Decimal, UUID, datetime, date, time, timedelta "
        "and SafeString. Cache the fields that you need, for instance queryset.values()."
    )


def _list_to_json(value: list[Any], place: str) -> list[Any]:
    forms = [
        each if type(each) in _NATIVE else _to_json(each, f"{place}[{i}]") for i, each in enumerate(value)
    ]
    return value if all(form is each for form, each in zip(forms, value, strict=True)) else forms


def _dict_to_json(value: dict[Any, Any], place: str) -> dict[str, Any]:
    forms = {
        key: each if type(each) in _NATIVE else _to_json(each, f"{place}[{key!r:.40}]")
        for key, each in value.items()
    }
    if MARK in value or not all(type(key) is str for key in value):
        pairs = [[_to_json(key, f"a key of {place}"), form] for key, form in forms.items()]
        return {MARK: "dict", "v": pairs}
    return value if all(forms[key] is each for key, each in value.items()) else forms


def _items(value: Any, place: str) -> list[Any]:
    return [_to_json(each, f"{place}[{i}]") for i, each in enumerate(value)]


def _datetime_form(value: datetime.datetime, _place: str) -> list[Any]:
    # An offset alone would lose the zone, so that arithmetic across a clock change would be wrong.
    if isinstance(value.tzinfo, ZoneInfo) and value.tzinfo.key:
        return [value.replace(tzinfo=None, fold=0).isoformat(), value.fold, value.tzinfo.key]
    return [value.replace(fold=0).isoformat(), value.fold]


def _datetime_of(form: list[Any]) -> datetime.datetime:
    value = datetime.datetime.fromisoformat(form[0]).replace(fold=form[1])
    return value.replace(tzinfo=ZoneInfo(form[2])) if len(form) == 3 else value


def _timedelta_form(value: datetime.timedelta, _place: str) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


def _time_form(value: datetime.time, _place: str) -> list[Any]:
    if value.tzinfo is not None and not isinstance(value.tzinfo, datetime.timezone):
        raise UncacheableValue("a time with a time zone of rules has no offset; cache a datetime instead.")
    return [value.replace(fold=0).isoformat(), value.fold]


def _text(value: Any, _place: str) -> str:
    return str(value)


_Form = tuple[str, Callable[[Any, str], Any], Callable[[Any], Any]]
# Type -> tag, how it is written, how it is read.
_FORMS: dict[type, _Form] = {
    tuple: ("tuple", _items, tuple),
    set: ("set", _items, set),
    frozenset: ("frozenset", _items, frozenset),
    bytes: ("bytes", lambda value, _place: base64.b64encode(value).decode(), base64.b64decode),
    Decimal: ("decimal", _text, Decimal),
    uuid.UUID: ("uuid", lambda value, _place: value.hex, uuid.UUID),
    datetime.datetime: ("datetime", _datetime_form, _datetime_of),
    datetime.date: ("date", lambda value, _place: value.isoformat(), datetime.date.fromisoformat),
    datetime.time: (
        "time",
        _time_form,
        lambda form: datetime.time.fromisoformat(form[0]).replace(fold=form[1]),
    ),
    datetime.timedelta: ("timedelta", _timedelta_form, lambda form: datetime.timedelta(*form)),
    SafeString: ("safe", lambda value, _place: str.__str__(value), SafeString),
}
_READERS: dict[str, Callable[[Any], Any]] = {tag: read for tag, _, read in _FORMS.values()} | {"dict": dict}


def _untag(mapping: dict[str, Any]) -> Any:
    if MARK not in mapping:
        return mapping
    try:
        return _READERS[mapping[MARK]](mapping["v"])
    except (KeyError, TypeError, ArithmeticError) as error:
        raise ValueError("not written by this codec") from error


_decode_typed = json.JSONDecoder(object_hook=_untag).decode
