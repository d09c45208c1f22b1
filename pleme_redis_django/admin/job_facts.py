"""What the page of a job says of its bounds, and until when a finished job is kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format

from pleme_redis_django.admin.display import age
from pleme_redis_django.conf import get_settings
from pleme_redis_django.conf.retention import retention_policy
from pleme_redis_django.configured_pools import bounds_of_pools, is_async_type
from pleme_redis_django.durations import duration
from pleme_redis_django.jobs.interface.bounds import BoundsOfJobs
from pleme_redis_django.jobs.interface.job import WAITING_STATUSES, JobStatus
from pleme_redis_django.monitoring.waiting_row import is_put_off
from pleme_redis_django.orm_store.retention import ending_of, kept_until

Fact = tuple[str, Any, bool]


def bounds_facts(job: Any) -> list[Fact]:
    """Return the bounds of the job, as name, value and whether the value is long."""
    facts: list[Fact] = []
    model = type(job)
    bounds = BoundsOfJobs(bounds_of_pools(model)).of(job)
    if bounds.timeout is not None:
        facts.append(("Timeout", _timeout(job, bounds.timeout), False))
    if bounds.isolated and not is_async_type(model, job.job_type):
        facts.append(("Isolated", "runs in a process of its own", False))
    if job.expires_at is not None and job.status in WAITING_STATUSES:
        facts.append(("Deadline", _deadline(job), False))
    if job.snoozes:
        facts.append(("Put off", _put_off(job), False))
    return facts


def retention_facts(job: Any) -> list[Fact]:
    """Return name, value and whether the value is long; of a job that has not ended, nothing."""
    if ending_of(job) is None:
        return []
    until = kept_until(job, retention_policy(get_settings().retention))
    if until is None:
        return [("Kept until", "for ever", False)]
    # The next walk deletes it, unless a row of the project's own refers to it.
    is_over = until <= timezone.now()
    return [("Kept until", "its time is over" if is_over else age(until), False)]


def _timeout(job: Any, seconds: float) -> str:
    if job.status == JobStatus.RUNNING and job.started_at is not None:
        return f"times out at {_clock_time(job.started_at + timedelta(seconds=seconds))}"
    return f"{duration(seconds)} for each attempt"


def _deadline(job: Any) -> str:
    left = (job.expires_at - timezone.now()).total_seconds()
    return f"expires in {duration(left)}" if left > 0 else "is over"


def _put_off(job: Any) -> str:
    times = f"{job.snoozes} times" if job.snoozes > 1 else "once"
    if job.status == JobStatus.PENDING and is_put_off(job):
        return f"{times}, now until {_moment(job.run_after)}"
    return times


def _moment(moment: Any) -> str:
    return date_format(timezone.localtime(moment) if timezone.is_aware(moment) else moment, "Y-m-d H:i:s")


def _clock_time(moment: Any) -> str:
    return date_format(timezone.localtime(moment) if timezone.is_aware(moment) else moment, "H:i:s")
