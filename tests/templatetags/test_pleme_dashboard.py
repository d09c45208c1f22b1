"""How figures, times and depths look on the dashboard."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from pleme_redis_django.templatetags import pleme_dashboard as shown


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (shown.count(1234567), "1,234,567"),
        (shown.count(None), "–"),  # noqa: RUF001 - an en dash, as in the page
        (shown.span(None), "–"),  # noqa: RUF001 - an en dash, as in the page
        (shown.span(-1), "0 ms"),
        (shown.span(7250), "2 h"),
        (shown.pace(0), "0"),
        (shown.pace(9.94), "9.9"),
        (shown.pace(1340.2), "1,340"),
        (shown.share(0.9876), "98.8 %"),
    ],
)
def test_figures(written: str, expected: str) -> None:
    assert written == expected


def test_sparkline_has_the_highest_depth_at_its_top_and_gaps() -> None:
    assert shown.spark_points([0, None, 10]) == "0.0,23.0 96.0,1.0"
    assert shown.spark_points([None, None]) == ""
    assert shown.spark_points([0, 0]) == "0.0,23.0 96.0,23.0"


def test_time_has_its_exact_moment() -> None:
    moment: Any = datetime.fromisoformat("2026-01-02T03:04:05+00:00")
    assert 'datetime="2026-01-02T03:04:05+00:00"' in shown.ago(moment)
    assert shown.ago(None) == "–"  # noqa: RUF001 - an en dash, as in the page


def test_since_when_has_the_date_of_another_day_and_how_long_it_is() -> None:
    now = timezone.now()
    before = now - timedelta(days=2)
    assert f">{timezone.localtime(before):%Y-%m-%d %H:%M} (2 d" in shown.since(before)
    assert f">{timezone.localtime(now):%H:%M} (" in shown.since(now)
    assert shown.since(None) == shown.NOTHING
