"""An outage of Redis as the error that callers get."""

from __future__ import annotations

import pytest
from redis.exceptions import ConnectionError, ResponseError

from pleme_redis_django.exceptions import RedisUnavailable
from pleme_redis_django.redis_state.server.unavailable import outages_as_unavailable, unavailable


def test_an_outage_is_told_with_its_cause_and_the_next_step() -> None:
    with (
        pytest.raises(RedisUnavailable, match=r"refused\. Check that the server") as error,
        outages_as_unavailable(),
    ):
        raise ConnectionError("refused")
    assert isinstance(error.value.__cause__, ConnectionError)


def test_an_error_without_words_is_told_by_its_class() -> None:
    assert "TimeoutError" in str(unavailable(TimeoutError()))


def test_a_wrong_call_is_no_outage() -> None:
    with pytest.raises(ResponseError), outages_as_unavailable():
        raise ResponseError("WRONGTYPE")
