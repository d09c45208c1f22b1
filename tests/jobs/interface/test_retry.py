"""When a failed job runs again."""

from __future__ import annotations

import random

import pytest

from pleme_redis_django.jobs.interface.retry import backoff_delay, jittered


def test_the_documented_delays() -> None:
    delays = [backoff_delay(retry_count) for retry_count in range(8)]
    assert delays == [60, 120, 240, 480, 960, 1920, 3600, 3600]


@pytest.mark.parametrize("retry_count", [7, 40, 41, 10_000, 10**30])
def test_no_delay_is_longer_than_the_cap(retry_count: int) -> None:
    assert backoff_delay(retry_count) == 3600
    assert backoff_delay(retry_count, base_seconds=0.5, max_seconds=7) == 7
    assert backoff_delay(retry_count, base_seconds=10**400, max_seconds=7) == 7


def test_a_base_and_a_cap_of_its_own() -> None:
    assert [backoff_delay(n, base_seconds=120, max_seconds=400) for n in range(3)] == [120, 240, 400]
    assert backoff_delay(5, base_seconds=0) == 0


def test_a_negative_count_is_the_first_delay() -> None:
    assert backoff_delay(-1) == 60


def test_jitter_only_adds_and_no_more_than_a_tenth() -> None:
    assert jittered(100, lambda: 0.0) == 100
    assert jittered(100, lambda: 1.0) == pytest.approx(110)
    seeded = random.Random(7)
    delays = [jittered(60, seeded.random) for _ in range(1_000)]
    assert 60 <= min(delays) < 61
    assert 65 < max(delays) <= 66
