"""After a failed hint, hints are not tried for a while, and one warning says so."""

from __future__ import annotations

import logging

import pytest
import redis

from pleme_redis_django import JobQueue
from pleme_redis_django.redis_state.wakeups.breaker import hint_breaker
from pleme_redis_django.testing.servers import RedisServer
from tests.redis_state.wakeups.conftest import hint


def test_a_stopped_redis_costs_the_hint_and_one_warning(
    own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    queue = JobQueue("email")
    assert queue.enqueue(hint()) is True
    own_redis.kill()
    with caplog.at_level(logging.WARNING):
        assert [queue.enqueue(hint()) for _ in range(5)] == [False] * 5
        queue.nudge()
    assert len(caplog.records) == 1
    assert "Jobs are stored and will start" in caplog.text
    with pytest.raises((redis.RedisError, OSError)):
        queue.wait_for_hint(1)
    with pytest.raises((redis.RedisError, OSError)):
        queue.dequeue(0)


def test_after_an_outage_hints_are_pushed_again(
    own_redis: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = JobQueue("email")
    assert queue.enqueue(hint()) is True
    hint_breaker.failed(ConnectionError("as if it had been away"))
    assert queue.enqueue(hint()) is False
    monkeypatch.setattr(hint_breaker, "_closed_until", 0.0)
    with caplog.at_level(logging.INFO):
        assert queue.enqueue(hint()) is True
    assert "takes wake-up hints again" in caplog.text
