"""What the page of schedules shows of each: when it fires, its next ticks, the last ones as a strip, its state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import Schedule
from pleme_redis_django.models.schedule import TickOutcome
from pleme_redis_django.monitoring.schedules import ScheduleReport, TickReport, local_times

# How a tick looks in the strip, and what it is called: by its job's status, or by why it has none.
JOB_KINDS = {
    JobStatus.PENDING: ("waits", "waits"),
    JobStatus.BLOCKED: ("waits", "waits"),
    JobStatus.QUEUED: ("waits", "waits"),
    JobStatus.RUNNING: ("runs", "runs"),
    JobStatus.COMPLETED: ("ok", "completed"),
    JobStatus.FAILED: ("failed", "failed"),
    JobStatus.CANCELLED: ("none", "cancelled"),
}
OUTCOME_KINDS = {
    TickOutcome.WAITING: ("waits", "waits for the end of the job before it"),
    TickOutcome.OVERLAP: ("none", "skipped: the job before it had not ended"),
    TickOutcome.MISSED: ("failed", "missed: no worker fired it in time"),
    TickOutcome.PAUSED: ("none", "skipped: paused"),
    TickOutcome.DISABLED: ("failed", "the schedule was disabled"),
}


def shown_schedules(
    reports: Sequence[ScheduleReport], *, job_url: Callable[[Any], str], edit_url: Callable[[Schedule], str]
) -> list[dict[str, Any]]:
    return [
        {
            "schedule": report.schedule,
            "state": report.state,
            "reason": report.reason,
            "words": report.words,
            "upcoming": [_clock(at) for at in local_times(report.upcoming, report.schedule.timezone)],
            "ticks": [shown_tick(tick, report.schedule.timezone, job_url) for tick in report.ticks],
            "url": edit_url(report.schedule),
        }
        for report in reports
    ]


def shown_tick(tick: TickReport, timezone_name: str, job_url: Callable[[Any], str]) -> dict[str, str]:
    """Return how one tick looks in the strip: its kind, its text, and the address of its job."""
    kind, word = _kind(tick)
    (at,) = local_times([tick.at], timezone_name)
    text = f"{_clock(at)}: {word}"
    if tick.passed_over:
        text += f", as {'1,000 or more' if tick.passed_over >= 1_000 else tick.passed_over} before it"
    if tick.outcome is TickOutcome.RUN_NOW:
        text += f", run by hand{f' by {tick.note}' if tick.note else ''}"
    return {"kind": kind, "text": text, "url": job_url(tick.job_id) if tick.job_status else ""}


def _kind(tick: TickReport) -> tuple[str, str]:
    if tick.job_status is not None:
        return JOB_KINDS[tick.job_status]
    return OUTCOME_KINDS.get(tick.outcome, ("none", "its job is gone"))


def _clock(at: datetime) -> str:
    return f"{at:%a %Y-%m-%d %H:%M}{f':{at:%S}' if at.second else ''} {at:%Z}"
