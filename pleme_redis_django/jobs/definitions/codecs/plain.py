"""Codecs of what JSON itself has: text, numbers, true and false, null. And the codec of Any."""

from __future__ import annotations

from types import NoneType
from typing import Any

from pleme_redis_django.jobs.definitions.codecs.codec import FORMS, Codec, unchanged


def _encode_text(value: Any) -> str:
    if isinstance(value, str):
        return str.__str__(value)  # Only the text of a subclass, such as a TextChoices.
    TEXT.refuse(value)


def _decode_text(stored: Any) -> str:
    if type(stored) is str:
        return stored
    TEXT.refuse_stored(stored)


def _encode_whole(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__int__(value)
    WHOLE.refuse(value)


def _decode_whole(stored: Any) -> int:
    if type(stored) is int:
        return stored
    WHOLE.refuse_stored(stored)


def _encode_float(value: Any) -> float:
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if (number := _exact_float(value)) is not None:
            return number
        FLOAT.refuse(value, "is a whole number that a float would round")
    FLOAT.refuse(value)


def _decode_float(stored: Any) -> float:
    # jsonb gives 1e20 back as a whole number.
    if type(stored) is float:
        return stored
    if type(stored) is int and (number := _exact_float(stored)) is not None:
        return number
    FLOAT.refuse_stored(stored)


def _exact_float(value: int) -> float | None:
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if number == value else None


def _encode_number(value: Any) -> int | float:
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__int__(value)
    NUMBER.refuse(value)


def _decode_number(stored: Any) -> int | float:
    if type(stored) is int or type(stored) is float:
        return stored
    NUMBER.refuse_stored(stored)


def _encode_flag(value: Any) -> bool:
    if value is True or value is False:
        return value
    FLAG.refuse(value)


def _decode_flag(stored: Any) -> bool:
    if stored is True or stored is False:
        return stored
    FLAG.refuse_stored(stored)


def _encode_nothing(value: Any) -> None:
    if value is not None:
        NOTHING.refuse(value)


def _decode_nothing(stored: Any) -> None:
    if stored is not None:
        NOTHING.refuse_stored(stored)


TEXT = Codec(
    annotation="str",
    accepts="text",
    reads="text",
    encode=_encode_text,
    decode=_decode_text,
    forms=frozenset({str}),
    types=(str,),
    as_is=str,
)
WHOLE = Codec(
    annotation="int",
    accepts="a whole number (a bool is not one)",
    reads="a whole number",
    encode=_encode_whole,
    decode=_decode_whole,
    forms=frozenset({int}),
    types=(int,),
    as_is=int,
)
FLOAT = Codec(
    annotation="float",
    accepts="a finite number (a bool is not one)",
    reads="a number",
    encode=_encode_float,
    decode=_decode_float,
    forms=frozenset({int, float}),
    types=(float, int),
    as_is=float,
)
NUMBER = Codec(
    annotation="int | float",
    accepts="a finite number (a bool is not one)",
    reads="a number",
    encode=_encode_number,
    decode=_decode_number,
    forms=frozenset({int, float}),
    types=(float, int),
)
FLAG = Codec(
    annotation="bool",
    accepts="True or False",
    reads="true or false",
    encode=_encode_flag,
    decode=_decode_flag,
    forms=frozenset({bool}),
    types=(bool,),
    as_is=bool,
)
NOTHING = Codec(
    annotation="None",
    accepts="None",
    reads="null",
    encode=_encode_nothing,
    decode=_decode_nothing,
    forms=frozenset({NoneType}),
    types=(NoneType,),
    as_is=NoneType,
)
ANYTHING = Codec(
    annotation="Any",
    accepts="JSON",
    reads="JSON",
    encode=unchanged,
    decode=unchanged,
    forms=FORMS,
    types=(object,),
)
