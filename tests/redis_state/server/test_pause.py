"""The pause after an outage: callers do without Redis for a while."""

from __future__ import annotations

import time

import pytest
from redis.exceptions import ConnectionError, ResponseError

from pleme_redis_django.exceptions import RedisUnavailable
from pleme_redis_django.redis_state.server.pause import Pause, reset_pauses


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1_000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_after_an_outage_callers_are_refused_until_the_pause_is_over(clock: list[float]) -> None:
    pause = Pause(1.0, "not asked again yet")
    pause.check()
    pause.failed(ConnectionError())
    clock[0] += 0.9
    with pytest.raises(RedisUnavailable, match="not asked again yet"):
        pause.check()
    clock[0] += 0.1
    pause.check()


def test_what_is_no_outage_begins_no_pause(clock: list[float]) -> None:
    pause = Pause(1.0, "not asked again yet")
    pause.failed(ResponseError("WRONGTYPE"))
    pause.failed(ValueError())
    pause.check()


def test_all_pauses_of_a_process_end_at_once(clock: list[float]) -> None:
    pauses = [Pause(1.0, "away"), Pause(60.0, "away")]
    for pause in pauses:
        pause.failed(ConnectionError())
    reset_pauses()
    for pause in pauses:
        pause.check()
