"""The one table of spans: what is drawn is kept, and what is linked is there."""

from __future__ import annotations

from pleme_redis_django.metrics.rollups import KEPT_SECONDS
from pleme_redis_django.monitoring.spans import CHART_SPANS, FAILURE_SPANS, JOB_LIST_SPANS


def test_every_chart_is_drawn_over_rollups_that_are_still_kept() -> None:
    for span in CHART_SPANS.values():
        assert span.seconds % span.step_seconds == 0
        assert KEPT_SECONDS[span.step_seconds] > span.seconds


def test_the_pages_of_failures_lead_to_spans_that_the_job_list_knows() -> None:
    assert FAILURE_SPANS.items() <= JOB_LIST_SPANS.items()


def test_the_shortest_span_comes_first() -> None:
    for spans in (CHART_SPANS, FAILURE_SPANS, JOB_LIST_SPANS):
        assert list(spans) == sorted(spans, key=lambda name: spans[name].seconds)
