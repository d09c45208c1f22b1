"""The charts of the dashboard as values: what each draws, and over which span of time."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, cast

from django.http import HttpRequest

from pleme_redis_django.access.product_scope import ProductScope
from pleme_redis_django.models import AbstractJob
from pleme_redis_django.monitoring.series import series
from pleme_redis_django.monitoring.spans import CHART_SPANS, ChartSpan, Span

DEFAULT_SPAN = "1h"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChartLine:
    """One line of a chart: a field of ``monitoring.figures.Series``, and the class of its colour."""

    field: str
    title: str
    style: str
    is_filled: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One chart, with the format of its figures as ``dashboard.js`` names it."""

    name: str
    title: str
    unit: str
    format: str
    lines: tuple[ChartLine, ...]
    is_stacked: bool = False


CHARTS = (
    Chart(
        name="throughput",
        title="Throughput",
        unit="attempts a minute",
        format="pace",
        is_stacked=True,
        lines=(
            ChartLine(field="ok", title="completed", style="ok"),
            ChartLine(field="retried", title="to retry", style="retried"),
            ChartLine(field="failed", title="failed", style="failed"),
        ),
    ),
    Chart(
        name="depth",
        title="Depth",
        unit="jobs",
        format="count",
        lines=(
            ChartLine(field="ready", title="ready", style="ready", is_filled=True),
            ChartLine(field="running", title="running", style="running"),
            ChartLine(field="blocked", title="blocked", style="blocked"),
        ),
    ),
    Chart(
        name="wait",
        title="Wait",
        unit="from due to claimed",
        format="span",
        lines=(
            ChartLine(field="wait_p50", title="p50", style="p50"),
            ChartLine(field="wait_p95", title="p95", style="p95"),
        ),
    ),
    Chart(
        name="run",
        title="Run time",
        unit="of an attempt",
        format="span",
        lines=(
            ChartLine(field="run_p50", title="p50", style="p50"),
            ChartLine(field="run_p95", title="p95", style="p95"),
        ),
    ),
)


def chosen_span(
    request: HttpRequest, spans: Mapping[str, Span] = CHART_SPANS, default: str = DEFAULT_SPAN
) -> str:
    """Return the span in the address; an unknown one is the default."""
    chosen = request.GET.get("span", "")
    return chosen if chosen in spans else default


def span_options(request: HttpRequest, spans: Mapping[str, Span] = CHART_SPANS) -> list[dict[str, Any]]:
    """Return the spans, each with the address of this page over it."""
    options = []
    for value in spans:
        query = request.GET.copy()
        query["span"] = value
        options.append({"value": value, "url": f"?{query.urlencode()}"})
    return options


def chart_context(
    request: HttpRequest, scope: ProductScope, model: type[AbstractJob], *, queue: str | None = None
) -> dict[str, Any]:
    return {
        "charts": CHARTS,
        "chosen_span": chosen_span(request),
        "spans": span_options(request),
        "series": series_of(request, scope, model, queue=queue),
    }


def series_of(
    request: HttpRequest, scope: ProductScope, model: type[AbstractJob], *, queue: str | None
) -> dict[str, Any]:
    """Return the figures of the charts over the span in the address, of one queue or of all in scope."""
    product = next(iter(scope.products)) if scope.products and len(scope.products) == 1 else None
    span = cast(ChartSpan, chosen_span(request))
    return series(scope, span, product=product, queue=queue or None, model=model).as_json()
