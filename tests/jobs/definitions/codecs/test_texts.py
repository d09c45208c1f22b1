"""Codecs of Decimal, UUID and bytes: what their texts may be, and how much of one is kept."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import pytest

from pleme_redis_django.jobs.definitions.codecs.codec import Mismatch
from pleme_redis_django.jobs.definitions.codecs.texts import BYTES, BYTES_MAX_LENGTH, DECIMAL, IDENTIFIER


class SubDecimal(Decimal):
    """Of a project, which may print itself in another way."""

    def __str__(self) -> str:
        return f"{super().__str__()} EUR"


def test_a_subclass_is_stored_as_what_it_is_of() -> None:
    encoded = DECIMAL.encode(SubDecimal("1.50"))
    assert (encoded, type(encoded)) == ("1.50", str)


def test_the_digits_of_a_decimal_are_kept() -> None:
    for text in ("9.50", "1E+3", "-0", "0.10000000000000000000000000001"):
        assert str(DECIMAL.decode(DECIMAL.encode(Decimal(text)))) == text


def test_a_whole_number_that_people_typed_is_a_decimal_and_a_float_is_not() -> None:
    assert DECIMAL.decode(5) == Decimal(5)
    for stored in (5.5, True, "NaN", "Infinity"):
        with pytest.raises(Mismatch):
            DECIMAL.decode(stored)


def test_a_uuid_is_read_however_it_is_written() -> None:
    for text in ("0199D1E27A3B7C4D8E5F60718293A4B5", "0199d1e2-7a3b-7c4d-8e5f-60718293a4b5"):
        assert IDENTIFIER.decode(text) == UUID("0199d1e27a3b7c4d8e5f60718293a4b5")


def test_as_many_bytes_as_are_accepted_come_back_and_one_more_is_refused_with_the_limit() -> None:
    most = bytes(BYTES_MAX_LENGTH)
    assert BYTES.decode(BYTES.encode(most)) == most
    with pytest.raises(Mismatch, match=r"has 65,537 bytes") as refused:
        BYTES.encode(most + b"x")
    assert "at most 65,536 bytes" in refused.value.accepted


def test_base64_with_anything_else_in_it_is_refused() -> None:
    for stored in ("/wA=\n", "/w A=", "/wA", "\N{EURO SIGN}"):
        with pytest.raises(Mismatch):
            BYTES.decode(stored)
