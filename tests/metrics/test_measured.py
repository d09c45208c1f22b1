"""When figures are old: by how often they are measured, not by the minute alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pleme_redis_django.metrics.measured import MeasuredAt

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def measured(seconds_ago: float, interval_seconds: float | None = None) -> MeasuredAt:
    at = NOW - timedelta(seconds=seconds_ago)
    next_at = None if interval_seconds is None else at + timedelta(seconds=interval_seconds)
    return MeasuredAt(now=NOW, at=at, next_at=next_at)


def test_what_was_never_measured_is_neither_old_nor_overdue() -> None:
    never = MeasuredAt(now=NOW, at=None)
    assert (never.age_seconds, never.is_stale, never.is_overdue) == (0.0, False, False)


@pytest.mark.parametrize(
    ("seconds_ago", "interval", "is_stale"),
    [(60, 10, False), (61, 10, True), (61, None, True), (400, 200, False), (401, 200, True)],
)
def test_figures_are_stale_after_a_minute_and_two_intervals(
    seconds_ago: float, interval: float | None, is_stale: bool
) -> None:
    assert measured(seconds_ago, interval).is_stale is is_stale


@pytest.mark.parametrize(
    ("seconds_ago", "interval", "is_overdue"), [(20, 10, False), (21, 10, True), (205, 200, False)]
)
def test_newer_figures_may_come_ten_seconds_late(
    seconds_ago: float, interval: float, is_overdue: bool
) -> None:
    assert measured(seconds_ago, interval).is_overdue is is_overdue


def test_a_clock_that_went_back_makes_no_negative_age() -> None:
    assert measured(-5).age_seconds == 0.0
