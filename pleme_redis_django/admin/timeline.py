"""The life of a job as steps in the order of time, each with what the wait before it was for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from django.utils import timezone

from pleme_redis_django.admin.display import moment
from pleme_redis_django.durations import duration
from pleme_redis_django.jobs.interface.failures import WORKER_DIED
from pleme_redis_django.jobs.interface.job import WAITING_STATUSES, JobStatus
from pleme_redis_django.models import AbstractJob
from pleme_redis_django.orm_store.flow.gates import is_line

# Times that one statement or one clock tick sets are not told apart.
_AT_ONCE = timedelta(milliseconds=50)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: what happened or is to happen, when, and how long the wait before it was."""

    name: str
    at: datetime | None
    """None: it goes on now."""
    wait: str = ""
    """What the time before it was spent on, with ``{}`` for how long; empty: nothing worth saying."""
    kind: Literal["past", "now", "future"] = "past"
    since: datetime | None = None
    """What the time before it is counted from; None: from the step before."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ShownStep:
    """A step in words."""

    name: str
    at: str
    wait: str
    kind: str
    seconds: float | None
    """How long it has been going on, for what goes on now."""


def timeline(job: AbstractJob, attempts: Sequence[Any], *, now: datetime | None = None) -> list[ShownStep]:
    """Return the steps of a job; ``attempts`` are its newest failed ones, the newest first."""
    now = now or timezone.now()
    before = None
    shown = []
    for step in _steps(job, attempts, now):
        shown.append(_in_words(step, before, now))
        before = step.at or before
    return shown


def _steps(job: AbstractJob, attempts: Sequence[Any], now: datetime) -> Iterator[Step]:
    yield Step(name="Created", at=job.created_at)
    if failed := _failed_before(job, attempts):
        count = failed[0].attempt if len(failed) == len(attempts) else len(failed)
        yield Step(name=_ended_early(failed, count), at=failed[0].ended_at, wait="{} until then")
    wait = "{} until the retry" if failed else "{} later, as scheduled"
    is_to_come = job.status == JobStatus.PENDING and job.run_after > now
    yield Step(name="Due", at=job.run_after, wait=wait, kind="future" if is_to_come else "past")
    if job.status == JobStatus.BLOCKED:
        name = "Waiting for its turn" if is_line(job.blocked_on or "") else "Waiting at a limit"
        yield Step(name=name, at=None, wait="{} so far", kind="now")
    elif job.status in WAITING_STATUSES and not is_to_come:
        yield Step(name="Waiting for a worker", at=None, wait="{} so far", kind="now")
    if job.status in WAITING_STATUSES:
        return
    yield from _run(job)


def _run(job: AbstractJob) -> Iterator[Step]:
    """Yield the steps of the last run, of a job that is running or has ended."""
    # An older claim belongs to a run before the job was made due again.
    was_claimed = job.claimed_at is not None and job.claimed_at >= job.run_after - _AT_ONCE
    if was_claimed:
        yield Step(name="Claimed", at=job.claimed_at, wait="{} for a worker")
        if job.started_at is not None:
            yield Step(name="Started", at=job.started_at, wait="{} until the handler began")
    if job.cancel_requested_at is not None:
        yield Step(name="Cancel requested", at=job.cancel_requested_at, wait="after {}")
    if job.status == JobStatus.RUNNING:
        # Since it started, not since somebody asked it to end.
        since = (job.started_at or job.claimed_at) if was_claimed else None
        yield Step(name="Running", at=None, wait="{} so far", kind="now", since=since)
        return
    ended = job.completed_at if job.status == JobStatus.COMPLETED else job.failed_at
    yield Step(name=job.status.capitalize(), at=ended, wait="ran for {}" if was_claimed else "after {}")


def _failed_before(job: AbstractJob, attempts: Sequence[Any]) -> list[Any]:
    """Return the failed attempts before the last run, or all of a job that waits."""
    is_waiting = job.status in WAITING_STATUSES
    return [attempt for attempt in attempts if is_waiting or attempt.attempt < job.attempt]


def _ended_early(attempts: Sequence[Any], count: int) -> str:
    # What its process took along has not failed: most often the job is not at fault.
    died = all(attempt.error_code == WORKER_DIED for attempt in attempts)
    if count == 1:
        return f"Attempt {attempts[0].attempt} {'lost its worker process' if died else 'failed'}"
    return f"{count} attempts {'lost their worker processes' if died else 'failed'}"


def _in_words(step: Step, before: datetime | None, now: datetime) -> ShownStep:
    at = step.at or now
    before = step.since or before
    waited = max(at - before, timedelta()) if before is not None else timedelta()
    says = step.wait if waited > _AT_ONCE or step.at is None else ""
    return ShownStep(
        name=step.name,
        at=moment(step.at) if step.at else "",
        wait=says.format(duration(waited.total_seconds())),
        kind=step.kind,
        seconds=waited.total_seconds() if step.kind == "now" else None,
    )
