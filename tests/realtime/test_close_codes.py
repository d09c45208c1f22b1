"""The close codes: a code's range tells a client whether and when to come back."""

from __future__ import annotations

import pytest

from pleme_redis_django.realtime.close_codes import CloseCode


def test_every_code_is_one_that_is_left_to_applications() -> None:
    assert all(4000 <= code < 4300 for code in CloseCode)


@pytest.mark.parametrize("code", CloseCode)
def test_who_may_not_come_back_is_told_so_by_the_range(code: CloseCode) -> None:
    is_final = code in {
        CloseCode.BAD_PROTOCOL,
        CloseCode.BAD_CREDENTIALS,
        CloseCode.DENIED,
        CloseCode.OVER_QUOTA,
        CloseCode.REVOKED,
    }
    assert (code.retry_milliseconds is None) == is_final


def test_an_overloaded_server_is_left_alone_for_longer_than_a_lost_connection() -> None:
    assert CloseCode.OVERLOAD.retry_milliseconds == (500, 20_000)
    assert CloseCode.NO_PONG.retry_milliseconds == (0, 8_000)
