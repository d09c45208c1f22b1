"""Codecs of unions whose members JSON can tell apart by its own types."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from types import NoneType
from typing import Any

from pleme_redis_django.jobs.definitions.codecs.codec import Codec, Unsupported
from pleme_redis_django.jobs.definitions.codecs.plain import ANYTHING, FLOAT, NUMBER, WHOLE


def union_codec(members: Sequence[Codec]) -> Codec:
    """Return the codec of a union. Raises Unsupported where a stored value could be of two of its members."""
    if ANYTHING in members:
        return ANYTHING
    if WHOLE in members and FLOAT in members:
        members = [NUMBER, *(one for one in members if one not in (WHOLE, FLOAT))]
    if len(members) == 1:
        return members[0]
    for one, other in combinations(members, 2):
        if one.forms & other.forms:
            raise Unsupported(
                f"{one.annotation} and {other.annotation} may be the same as JSON, so that a worker could not tell "
                "which one it was. Use two parameters, or a dataclass with a field for each"
            )
    optional = next((one for one in members if one.forms != {NoneType}), members[0])
    if len(members) == 2 and members[0] is not members[1] and _has_none(members):
        return _optional_codec(optional, members)
    return _told_apart(members)


def _has_none(members: Sequence[Codec]) -> bool:
    return any(one.forms == {NoneType} for one in members)


def _optional_codec(codec: Codec, members: Sequence[Codec]) -> Codec:
    encode_value, decode_value = codec.encode, codec.decode

    def encode(value: Any) -> Any:
        return None if value is None else encode_value(value)

    def decode(stored: Any) -> Any:
        return None if stored is None else decode_value(stored)

    return _described(members, encode, decode)


def _told_apart(members: Sequence[Codec]) -> Codec:
    by_form = {form: one.decode for one in members for form in one.forms}
    by_type = {kind: one for one in members for kind in one.types}

    def encode(value: Any) -> Any:
        codec = by_type.get(type(value)) or next(
            (one for one in members if isinstance(value, one.types)), None
        )
        if codec is None:
            union.refuse(value)
        return codec.encode(value)

    def decode(stored: Any) -> Any:
        convert = by_form.get(type(stored))
        if convert is None:
            union.refuse_stored(stored)
        return convert(stored)

    union = _described(members, encode, decode)
    return union


def _described(members: Sequence[Codec], encode: Any, decode: Any) -> Codec:
    return Codec(
        annotation=" | ".join(one.annotation for one in members),
        accepts=" or ".join(one.accepts for one in members),
        reads=" or ".join(one.reads for one in members),
        encode=encode,
        decode=decode,
        forms=frozenset().union(*(one.forms for one in members)),
        types=tuple(kind for one in members for kind in one.types),
    )
