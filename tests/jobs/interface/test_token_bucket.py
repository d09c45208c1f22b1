"""TokenBucket: never more than burst + rate * time, whatever the moments at which tokens are asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pleme_redis_django.jobs.interface.token_bucket import TokenBucket, bucket_at

WAITS = st.lists(st.tuples(st.floats(0, 3), st.integers(1, 20)), max_size=60)


@given(
    rate=st.integers(1, 50),
    per_seconds=st.sampled_from([0.5, 1.0, 7.0]),
    burst=st.integers(1, 15),
    asked=WAITS,
)
def test_no_window_has_more_than_burst_and_rate(
    rate: int, per_seconds: float, burst: int, asked: list[tuple[float, int]]
) -> None:
    now = full_again_at = 0.0
    taken: list[tuple[float, int]] = []
    for wait, wanted in asked:
        now += wait
        bucket = bucket_at(rate=rate, per_seconds=per_seconds, burst=burst, full_again_in=full_again_at - now)
        count = min(bucket.free, wanted)
        full_again_at = now + bucket.without(count).full_again_seconds
        taken.append((now, count))
    for first, (begin, _count) in enumerate(taken):
        total = 0
        for end, count in taken[first:]:
            total += count
            assert total <= burst + rate / per_seconds * (end - begin) + 1e-6


def test_tokens_come_back_one_by_one() -> None:
    bucket = bucket_at(rate=4, per_seconds=2.0, burst=3, full_again_in=1.2)
    assert (bucket.every_seconds, bucket.used) == (0.5, pytest.approx(2.4))
    assert bucket.free == 0
    assert bucket.seconds_until(1) == pytest.approx(0.2)
    assert bucket.seconds_until(3) == pytest.approx(1.2)
    assert bucket.without(1).seconds_until(1) == pytest.approx(0.7)


def test_rate_of_zero_is_a_pause() -> None:
    bucket = bucket_at(rate=0, per_seconds=1.0, burst=5, full_again_in=-100.0)
    assert (bucket.free, bucket.seconds_until(1), bucket.full_again_seconds) == (0, None, 0.0)


def test_tokens_that_an_old_rate_has_given_count_as_such() -> None:
    """An hour between two tokens once: with a hundred a second now, three used ones are back in 30 ms."""
    bucket = bucket_at(rate=100, per_seconds=1.0, burst=3, full_again_in=3 * 3600.0, spacing_seconds=3600.0)
    assert (bucket.free, bucket.seconds_until(1)) == (0, pytest.approx(0.01))


def test_bucket_that_was_left_alone_is_full() -> None:
    assert bucket_at(rate=1, per_seconds=60.0, burst=7, full_again_in=-5.0) == TokenBucket(
        every_seconds=60.0, burst=7, used=0.0
    )
