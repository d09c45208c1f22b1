"""The list of schedules, as lines for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from pleme_redis_django.monitoring.schedules import ScheduleReport, local_times


def as_lines(reports: Sequence[ScheduleReport]) -> Iterator[str]:
    """Yield a few lines for each schedule."""
    if not reports:
        yield 'There are no schedules. Declare one with @job(schedule=cron("0 3 * * *")), or make one in the admin.'
    for report in reports:
        row = report.schedule
        yield f"{row.product}  {row.name}"
        yield f"    {report.words}; {row.job_type}; {row.source}"
        yield f"    {report.state}" + (f": {report.reason}" if report.reason else _next(report))


def as_json(reports: Sequence[ScheduleReport]) -> list[dict[str, Any]]:
    """Return what json.dumps takes."""
    return [
        {
            "product": report.schedule.product,
            "name": report.schedule.name,
            "source": report.schedule.source,
            "job_type": report.schedule.job_type,
            "parameters": report.schedule.parameters,
            "cron": report.schedule.cron or None,
            "interval_seconds": report.schedule.interval_seconds,
            "timezone": report.schedule.timezone,
            "words": report.words,
            "state": report.state,
            "reason": report.reason,
            "upcoming": [_iso(moment) for moment in report.upcoming],
            "last_ticks": [
                {
                    "at": _iso(tick.at),
                    "outcome": tick.outcome.value,
                    "job_id": None if tick.job_id is None else str(tick.job_id),
                    "job_status": None if tick.job_status is None else tick.job_status.value,
                }
                for tick in report.ticks
            ],
        }
        for report in reports
    ]


def _next(report: ScheduleReport) -> str:
    if not report.upcoming:
        return ""
    (moment,) = local_times(report.upcoming[:1], report.schedule.timezone)
    return f", next {moment:%Y-%m-%d %H:%M:%S %Z}"


def _iso(moment: datetime) -> str:
    return moment.isoformat()
