"""Codecs of lists, tuples, sets and dicts of other values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from pleme_redis_django.jobs.definitions.codecs.codec import Codec, Mismatch, Unsupported, shown
from pleme_redis_django.jobs.definitions.codecs.plain import ANYTHING, TEXT, WHOLE
from pleme_redis_django.jobs.definitions.codecs.texts import DECIMAL
from pleme_redis_django.jobs.interface.json_text import canonical_json

_Convert = Callable[[Any], Any]
_LIST, _OBJECT = frozenset({list}), frozenset({dict})


def list_codec(item: Codec, *, any_sequence: bool = False) -> Codec:
    """Return the codec of ``list[item]``; ``any_sequence``: of ``Sequence[item]``, which may be a tuple too."""
    types = (list, tuple) if any_sequence else (list,)
    encode_all, decode_all = _each(item.encode, item), _each(item.decode, item)

    def encode(value: Any) -> Any:
        if isinstance(value, types):
            return encode_all(value)
        codec.refuse(value)

    def decode(stored: Any) -> Any:
        if type(stored) is list:
            return decode_all(stored)
        codec.refuse_stored(stored)

    codec = Codec(
        annotation=f"{'Sequence' if any_sequence else 'list'}{_of(item)}",
        accepts="a list or a tuple" if any_sequence else "a list",
        reads="a list",
        encode=encode,
        decode=decode,
        forms=_LIST,
        types=types,
        as_is=list if item is ANYTHING else None,
    )
    return codec


def tuple_codec(items: Collection[Codec] | Codec) -> Codec:
    """Return the codec of a tuple of exactly these items, or of any number of items of one kind."""
    fixed = None if isinstance(items, Codec) else tuple(items)
    item = items if isinstance(items, Codec) else ANYTHING
    encode_all, decode_all = _each(item.encode, item), _each(item.decode, item)

    def encode(value: Any) -> list[Any]:
        if not isinstance(value, tuple):
            codec.refuse(value)
        if fixed is None:
            return list(encode_all(value))
        if len(value) != len(fixed):
            codec.refuse(value, f"has {len(value)} items")
        return _one_by_one((one.encode for one in fixed), value)

    def decode(stored: Any) -> tuple[Any, ...]:
        if type(stored) is not list:
            codec.refuse_stored(stored)
        if fixed is None:
            return tuple(decode_all(stored))
        if len(stored) != len(fixed):
            codec.refuse_stored(stored, f"has {len(stored)} items")
        return tuple(_one_by_one((one.decode for one in fixed), stored))

    inside = (
        f"{item.annotation}, ..." if fixed is None else ", ".join(one.annotation for one in fixed) or "()"
    )
    words = "" if fixed is None else f" of {len(fixed)} items"
    codec = Codec(
        annotation=f"tuple[{inside}]",
        accepts=f"a tuple{words}",
        reads=f"a list{words}",
        encode=encode,
        decode=decode,
        forms=_LIST,
        types=(tuple,),
    )
    return codec


def set_codec(item: Codec, kind: type[set[Any]] | type[frozenset[Any]]) -> Codec:
    """Return the codec of a set, stored as a list in a fixed order, so that equal sets are equal text."""
    encode_all, decode_all = _each(item.encode, item), _each(item.decode, item)

    def encode(value: Any) -> list[Any]:
        if not isinstance(value, kind):
            codec.refuse(value)
        encoded = list(encode_all(value))
        try:
            encoded.sort()
        except TypeError:  # Values that have no order, such as dicts.
            encoded.sort(key=canonical_json)
        return encoded

    def decode(stored: Any) -> Any:
        if type(stored) is not list:
            codec.refuse_stored(stored)
        try:
            return kind(decode_all(stored))
        except TypeError:
            codec.refuse_stored(stored, "has items that no set can hold")

    codec = Codec(
        annotation=f"{kind.__name__}{_of(item)}",
        accepts=f"a {kind.__name__}",
        reads="a list",
        encode=encode,
        decode=decode,
        forms=_LIST,
        types=(kind,),
    )
    return codec


def dict_codec(key: Codec, item: Codec) -> Codec:
    """Return the codec of ``dict[key, item]``. Raises Unsupported for keys that do not become text in JSON."""
    encode_key, decode_key = _key_conversions(key)

    def encode(value: Any) -> dict[str, Any]:
        if isinstance(value, dict):
            return _converted_dict(value, encode_key, None if item is ANYTHING else item.encode)
        codec.refuse(value)

    def decode(stored: Any) -> dict[Any, Any]:
        if type(stored) is dict:
            return _converted_dict(stored, decode_key, None if item is ANYTHING else item.decode)
        codec.refuse_stored(stored)

    plain = key is ANYTHING and item is ANYTHING
    codec = Codec(
        annotation="dict" if plain else f"dict[{key.annotation}, {item.annotation}]",
        accepts="a dict",
        reads="an object",
        encode=encode,
        decode=decode,
        forms=_OBJECT,
        types=(dict,),
        as_is=dict if item is ANYTHING and (key is ANYTHING or key is TEXT) else None,
    )
    return codec


def _each(convert: _Convert, item: Codec) -> Callable[[Collection[Any]], Any]:
    """Return a function that converts all items, and leaves items that are plain JSON as they are."""
    if item is ANYTHING:
        return lambda values: values
    plain = set() if item.as_is is None else {item.as_is}

    def convert_all(values: Collection[Any]) -> Any:
        if plain and plain.issuperset(map(type, values)):
            return values
        try:
            return list(map(convert, values))
        except Mismatch:
            raise _first_mismatch(convert, values) from None

    return convert_all


def _first_mismatch(convert: _Convert, values: Iterable[Any]) -> Mismatch:
    for index, value in enumerate(values):
        try:
            convert(value)
        except Mismatch as mismatch:
            return mismatch.under(f"[{index}]")
    raise RuntimeError("A value was refused, and then it was not.")


def _one_by_one(conversions: Iterable[_Convert], values: Iterable[Any]) -> list[Any]:
    converted: list[Any] = []
    for convert, value in zip(conversions, values, strict=True):
        try:
            converted.append(convert(value))
        except Mismatch as mismatch:
            raise mismatch.under(f"[{len(converted)}]") from None
    return converted


def _converted_dict(given: Mapping[Any, Any], key: _Convert | None, item: _Convert | None) -> dict[Any, Any]:
    converted: dict[Any, Any] = {}
    for name, value in given.items():
        try:
            new_name = name if key is None else key(name)
        except Mismatch as mismatch:
            mismatch.problem = f"has the key {shown(name)}"
            raise
        if new_name in converted:
            raise Mismatch(
                f"has the key {shown(name)} twice, as JSON", "dict", "keys that are different as JSON"
            )
        try:
            converted[new_name] = value if item is None else item(value)
        except Mismatch as mismatch:
            raise mismatch.under(f"[{name!r}]") from None
    return converted


def _key_conversions(key: Codec) -> tuple[_Convert | None, _Convert | None]:
    if key is ANYTHING:
        return None, None  # JSON says which keys it has.
    if key is WHOLE:
        return lambda name: str(WHOLE.encode(name)), _whole_key
    if key is DECIMAL or key.forms == {str}:
        return key.encode, key.decode
    raise Unsupported(f"the keys of an object are text as JSON, and {key.annotation} is not")


def _whole_key(name: str) -> int:
    try:
        return int(name)
    except ValueError:
        WHOLE.refuse_stored(name)


def _of(item: Codec) -> str:
    return "" if item is ANYTHING else f"[{item.annotation}]"
