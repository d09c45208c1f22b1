"""Spans: how far back the pages look, in one table: which of them charts, lists and filters offer."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Literal, get_args


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The time from some seconds ago until now."""

    name: str
    """As it stands in addresses and on buttons."""
    title: str
    """In words, after "the last"."""
    seconds: int
    step_seconds: int = 0
    """Of the charts over it, one of the steps of the rollups; 0: no chart is drawn over it."""

    @property
    def length(self) -> timedelta:
        """How far back it begins."""
        return timedelta(seconds=self.seconds)


_HOUR, _DAY = 3600, 24 * 3600
_EVERY = {
    span.name: span
    for span in (
        Span(name="10m", title="10 minutes", seconds=600),
        Span(name="1h", title="hour", seconds=_HOUR, step_seconds=10),
        Span(name="3h", title="3 hours", seconds=3 * _HOUR),
        Span(name="6h", title="6 hours", seconds=6 * _HOUR, step_seconds=60),
        Span(name="24h", title="24 hours", seconds=_DAY, step_seconds=600),
        Span(name="7d", title="7 days", seconds=7 * _DAY, step_seconds=3600),
    )
}


def _of(*names: str) -> dict[str, Span]:
    return {name: _EVERY[name] for name in names}


ChartSpan = Literal["1h", "6h", "24h", "7d"]
CHART_SPANS = _of(*get_args(ChartSpan))
FAILURE_SPANS = _of("1h", "3h", "24h", "7d")
# The pages of failures lead to the list of jobs over their spans.
JOB_LIST_SPANS = _of("10m", *FAILURE_SPANS)
