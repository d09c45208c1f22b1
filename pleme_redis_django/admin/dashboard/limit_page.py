"""What the page of limits shows of each: its numbers, who runs, how many wait, since when, and who changed it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from pleme_redis_django.durations import duration
from pleme_redis_django.models import FlowLimit, LimitKind
from pleme_redis_django.monitoring.limits import GateReport, Holder, LimitReport

BAR_WIDTH = 100


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ShownGate:
    """A gate as the page shows it."""

    report: GateReport
    name: str
    width: float
    """Of the bar of places that are taken, of ``BAR_WIDTH``."""
    next_token: str
    holders: list[tuple[Holder, str]]
    """Who runs there, the longest first, each with the address of its page; "": it has none."""
    more_jobs: int
    """How many run besides."""


def shown_limits(reports: Sequence[LimitReport], job_url: Callable[[Any], str]) -> list[dict[str, Any]]:
    """Return what the page shows of limits; ``job_url``: of the page of a job, by its id."""
    return [
        {
            "limit": report.limit,
            "report": report,
            "what": _what(report.limit),
            "numbers": numbers_in_words(report.limit),
            "declared": _declared_in_words(report.limit),
            "gates": [_gate(report.limit, gate, job_url) for gate in report.gates],
            "more_gates": report.gate_count - len(report.gates),
        }
        for report in reports
    ]


def _what(limit: FlowLimit) -> str:
    """Return what the name of a limit is the name of, and of which products."""
    kind = LimitKind(limit.kind)
    if kind is LimitKind.PRODUCT:
        return kind.label
    return (
        f"{kind.label}, {limit.product or ('all products together' if limit.is_shared else 'every product')}"
    )


def numbers_in_words(limit: FlowLimit) -> str:
    """Return the numbers of a limit, such as "5 at once; 20 start in 1 m, 2 of them together"."""
    words = []
    if limit.max_running is not None:
        words.append(f"{limit.max_running:,} at once" if limit.max_running else "paused: none may run")
    if limit.rate is not None:
        starts = f"{limit.rate:,} start in {duration(limit.per_seconds)}, {limit.burst:,} of them together"
        words.append(starts if limit.rate else "paused: none may start")
    return "; ".join(words) or "no number"


def _declared_in_words(limit: FlowLimit) -> str:
    return numbers_in_words(FlowLimit(**limit.declared)) if limit.declared else ""


def _gate(limit: FlowLimit, gate: GateReport, job_url: Callable[[Any], str]) -> ShownGate:
    most = limit.max_running or 0
    share = min(gate.running / most, 1.0) if most else float(bool(gate.running))
    waits = gate.next_token_seconds
    return ShownGate(
        report=gate,
        name=gate.gate.name,
        width=round(BAR_WIDTH * share, 1),
        next_token="" if waits is None or gate.tokens else f"the next in {duration(waits)}",
        holders=[(holder, "" if holder.is_deleted else job_url(holder.job_id)) for holder in gate.holders],
        more_jobs=gate.jobs - len(gate.holders),
    )
