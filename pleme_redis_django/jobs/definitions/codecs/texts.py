"""Codecs of Decimal, UUID and bytes, each stored as text."""

from __future__ import annotations

import base64
import binascii
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from pleme_redis_django.jobs.definitions.codecs.codec import Codec

BYTES_MAX_LENGTH = 64 * 1024
"""Of one value: enough for keys, digests and small files. Keep larger data in a storage, and its name in the job."""


def _encode_decimal(value: Any) -> str:
    if isinstance(value, Decimal) and value.is_finite():
        return Decimal.__str__(value)
    DECIMAL.refuse(value)


def _decode_decimal(stored: Any) -> Decimal:
    if type(stored) is int:
        return Decimal(stored)
    if type(stored) is str:
        try:
            number = Decimal(stored)
        except InvalidOperation:
            DECIMAL.refuse_stored(stored)
        if number.is_finite():
            return number
    DECIMAL.refuse_stored(stored)


def _encode_uuid(value: Any) -> str:
    if isinstance(value, UUID):
        return UUID.__str__(value)
    IDENTIFIER.refuse(value)


def _decode_uuid(stored: Any) -> UUID:
    if type(stored) is str:
        try:
            return UUID(stored)
        except ValueError:
            pass
    IDENTIFIER.refuse_stored(stored)


def _encode_bytes(value: Any) -> str:
    if not isinstance(value, bytes):
        BYTES.refuse(value)
    if len(value) > BYTES_MAX_LENGTH:
        BYTES.refuse(value, f"has {len(value):,} bytes")
    return base64.b64encode(value).decode("ascii")


def _decode_bytes(stored: Any) -> bytes:
    if type(stored) is str:
        try:
            return base64.b64decode(stored, validate=True)
        except (binascii.Error, ValueError):
            pass
    BYTES.refuse_stored(stored)


_TEXT = frozenset({str})
DECIMAL = Codec(
    annotation="Decimal",
    accepts='a finite Decimal, such as Decimal("9.50")',
    reads='the text of a finite number, such as "9.50"',
    encode=_encode_decimal,
    decode=_decode_decimal,
    # A whole number is read too, because people type one into a schedule.
    forms=frozenset({str, int}),
    types=(Decimal,),
)
IDENTIFIER = Codec(
    annotation="UUID",
    accepts="a UUID of the standard library; of a text, UUID(text)",
    reads='the text of a UUID, such as "0199d1e2-7a3b-7c4d-8e5f-60718293a4b5"',
    encode=_encode_uuid,
    decode=_decode_uuid,
    forms=_TEXT,
    types=(UUID,),
)
BYTES = Codec(
    annotation="bytes",
    accepts=f"at most {BYTES_MAX_LENGTH:,} bytes; store larger data elsewhere, and pass its name",
    reads="text in base64",
    encode=_encode_bytes,
    decode=_decode_bytes,
    forms=_TEXT,
    types=(bytes,),
)
