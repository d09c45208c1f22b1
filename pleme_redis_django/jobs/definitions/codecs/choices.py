"""Codecs of Enum and Literal: one of some values.

A member is stored by its value where all values of its Enum are text or whole numbers, else by its name. A Flag is
stored as its number.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import Any

from pleme_redis_django.jobs.definitions.codecs.codec import Codec, Unsupported, written
from pleme_redis_django.wording import shortened

_LISTED_CHARACTERS = 200


def enum_codec(kind: type[enum.Enum]) -> Codec:
    if issubclass(kind, enum.Flag):
        return _flags_codec(kind)
    members = list(kind)
    by_value = all(_is_plain(member.value) for member in members)
    stored_of: dict[enum.Enum, Any] = {
        member: _plain(member.value) if by_value else member.name for member in members
    }
    member_of = {stored: member for member, stored in stored_of.items()}
    forms = frozenset(type(stored) for stored in member_of)

    def encode(value: Any) -> Any:
        if isinstance(value, kind):
            return stored_of[value]
        codec.refuse(value)

    def decode(stored: Any) -> Any:
        if type(stored) in forms and (member := member_of.get(stored)) is not None:
            return member
        if by_value and (missing := _missing(kind, stored)) is not None:
            return missing
        codec.refuse_stored(stored)

    codec = Codec(
        annotation=kind.__qualname__,
        accepts=f"a member of {kind.__qualname__}: {_listed(member.name for member in members)}",
        reads=_listed(repr(stored) for stored in member_of),
        encode=encode,
        decode=decode,
        forms=forms,
        types=(kind,),
    )
    return codec


def _missing(kind: type[enum.Enum], stored: object) -> enum.Enum | None:
    """Return the member that the ``_missing_`` of an Enum finds for a value, for instance for one that was renamed."""
    if kind._missing_.__func__ is enum.Enum._missing_.__func__:  # type: ignore[attr-defined]  # of a classmethod
        return None
    try:
        return kind(stored)
    except Exception:  # The project's own function may raise anything.
        return None


def _flags_codec(kind: type[enum.Flag]) -> Codec:
    def encode(value: Any) -> int:
        if isinstance(value, kind):
            return int(value.value)
        codec.refuse(value)

    def decode(stored: Any) -> enum.Flag:
        if type(stored) is int:
            try:
                return kind(stored)
            except ValueError:
                pass
        codec.refuse_stored(stored)

    codec = Codec(
        annotation=kind.__qualname__,
        accepts=f"a member of {kind.__qualname__}, or some of them",
        reads=f"the number of some of {_listed(member.name or '' for member in kind)}",
        encode=encode,
        decode=decode,
        forms=frozenset({int}),
        types=(kind,),
    )
    return codec


def literal_codec(values: Iterable[object], codec_of: Callable[[type], Codec]) -> Codec:
    """Return the codec of a Literal. Raises Unsupported for values that JSON cannot tell apart."""
    listed = list(values)
    stored_of = {(type(value), value): _stored_literal(value, codec_of) for value in listed}
    value_of = {(type(stored), stored): value for (_kind, value), stored in stored_of.items()}
    if len(value_of) < len(stored_of):
        raise Unsupported(f"two values of Literal[{_listed(map(repr, listed))}] are the same as JSON")

    def encode(value: Any) -> Any:
        try:
            return stored_of[type(value), value]
        except (KeyError, TypeError):  # Another value; one that has no hash.
            pass
        if isinstance(value, str) and (str, plain := str.__str__(value)) in stored_of:
            return plain
        codec.refuse(value)

    def decode(stored: Any) -> Any:
        try:
            return value_of[type(stored), stored]
        except (KeyError, TypeError):
            codec.refuse_stored(stored)

    codec = Codec(
        annotation=f"Literal[{_listed(map(repr, listed))}]",
        accepts=_listed(map(repr, listed)),
        reads=_listed(repr(stored) for _form, stored in value_of),
        encode=encode,
        decode=decode,
        forms=frozenset(form for form, _stored in value_of),
        types=tuple({type(value) for value in listed}),
    )
    return codec


def _stored_literal(value: object, codec_of: Callable[[type], Codec]) -> Any:
    if isinstance(value, enum.Enum):
        return codec_of(type(value)).encode(value)
    if value is None or isinstance(value, str | int):
        return value
    raise Unsupported(f"the value {value!r} of a Literal is a {written(type(value))}")


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    return str.__str__(value) if isinstance(value, str) else int.__int__(value)


def _listed(texts: Iterable[str]) -> str:
    return shortened(", ".join(texts), characters=_LISTED_CHARACTERS)
