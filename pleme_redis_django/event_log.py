"""EngineEvents: the one place that turns the engine's events into log lines and signals.

Log lines carry ids, types and counts, never parameters, results or messages of exceptions; but for what the
database says of itself when it cannot be used.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, DataError, InterfaceError, OperationalError
from django.dispatch import Signal

from pleme_redis_django import signals
from pleme_redis_django.exceptions import StoreError
from pleme_redis_django.job_listeners import listeners, told_of_claims
from pleme_redis_django.jobs.interface import events
from pleme_redis_django.jobs.interface.endings import (
    Cancelled,
    Completed,
    Ending,
    Failed,
    Failure,
    GivenBack,
    Retried,
    Snoozed,
)
from pleme_redis_django.jobs.interface.job import AnyJob
from pleme_redis_django.jobs.interface.json_text import from_json

REASON_MAX_LENGTH = 300

logger = logging.getLogger("pleme_redis_django.jobs")


class HiddenFailure:
    """A failure on its log record, for a formatter that was asked for it.

    Message and traceback may hold anything that the handler worked with: what writes every attribute
    of a record, as many JSON formatters do, finds none of it.
    """

    __slots__ = ("_failure",)

    def __init__(self, failure: Failure) -> None:
        self._failure = failure

    def __repr__(self) -> str:
        return "<not logged>"

    def text(self) -> str:
        """Return the traceback, or the message of a failure that is not an exception."""
        return (self._failure.traceback or self._failure.message).rstrip()


class EngineEvents:
    """An EventSink for Django projects."""

    def emit(self, event: events.Event) -> None:
        """Log the event and send its signal; whatever fails in that is logged, and fails nothing else."""
        try:
            _HANDLERS[type(event)](event)
        except Exception:
            logger.exception("an event could not be reported: %s", type(event).__name__)


def _job_started(event: events.JobStarted) -> None:
    # Most projects listen to no start, and this runs once a job: look before anything is built.
    if signals.job_started.receivers:
        _send(signals.job_started, event.job)
    if (listener := listeners.get(event.job.job_type)) is not None:
        listener.started(event.job)


def _job_progressed(event: events.JobProgressed) -> None:
    _send(signals.job_progressed, event.job, progress=dict(event.progress))


def _job_ended(event: events.JobEnded) -> None:
    _ENDING_HANDLERS[type(event.ending)](event.job, event.ending)


def _completed(job: AnyJob, ending: Completed) -> None:
    if logger.isEnabledFor(logging.DEBUG):
        _log(logging.DEBUG, "completed", job, run_ms=round(ending.run_seconds * 1000, 1))
    if signals.job_completed.receivers:
        _send(signals.job_completed, job, results=from_json(ending.results_json))
    if (listener := listeners.get(job.job_type)) is not None:
        listener.completed(job, ending.results_json)


def _retried(job: AnyJob, ending: Retried) -> None:
    _log(
        logging.WARNING,
        "failed, will be retried",
        job,
        error_code=ending.failure.error_code,
        retry=f"{ending.retry_count}/{job.max_retries}",
        retry_in_s=round(ending.delay_seconds, 1),
        failure=ending.failure,
    )
    _send(
        signals.job_retried,
        job,
        failure=ending.failure,
        retry_count=ending.retry_count,
        delay_seconds=ending.delay_seconds,
    )


def _snoozed(job: AnyJob, ending: Snoozed) -> None:
    _log(logging.INFO, "was snoozed by its handler", job, again_in_s=round(ending.delay_seconds, 1))


def _failed(job: AnyJob, ending: Failed) -> None:
    _log(
        logging.ERROR,
        "failed for good",
        job,
        error_code=ending.failure.error_code,
        failure=ending.failure,
    )
    _send(signals.job_failed, job, failure=ending.failure)
    if (listener := listeners.get(job.job_type)) is not None:
        listener.failed(job, ending.failure)


def _cancelled(job: AnyJob, _ending: Cancelled) -> None:
    _log(logging.INFO, "cancelled", job)
    _send(signals.job_cancelled, job)
    if (listener := listeners.get(job.job_type)) is not None:
        listener.cancelled(job)


def _given_back(job: AnyJob, ending: GivenBack) -> None:
    level = logging.WARNING if ending.crashed else logging.DEBUG
    _log(level, "given back", job, crashed=ending.crashed)


def _refused(event: events.EndingRefused) -> None:
    _log(
        logging.WARNING,
        "ended too late, its ending was refused",
        event.job,
        attempt=event.ending.claim.attempt,
    )


def _delayed(event: events.EndingDelayed) -> None:
    _log(
        logging.WARNING,
        "has ended, but its ending cannot be written yet; it is retried, and other endings do not wait",
        event.job,
        ending=type(event.ending).__name__,
        why=_reason(event.error),
    )


def _suspect_started(event: events.SuspectStarted) -> None:
    _log(logging.WARNING, "runs alone, because its worker process died before", event.job)


def first_line(error: BaseException) -> str:
    """Return the first line of what a database said, without its full stop."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".?! ") if lines else type(error).__name__


def _claimed(event: events.JobsClaimed) -> None:
    for listener in told_of_claims:
        listener.claimed()
    if event.by_scan:
        _say(logging.DEBUG, "woken by scan", claimed=event.count)


_ENDING_HANDLERS: dict[type[Ending], Callable[[Any, Any], None]] = {
    Completed: _completed,
    Retried: _retried,
    Snoozed: _snoozed,
    Failed: _failed,
    Cancelled: _cancelled,
    GivenBack: _given_back,
}
_HANDLERS: dict[type, Callable[[Any], None]] = {
    events.JobStarted: _job_started,
    events.JobProgressed: _job_progressed,
    events.JobEnded: _job_ended,
    events.EndingRefused: _refused,
    events.EndingDelayed: _delayed,
    events.BurstHeldUp: lambda e: _say(
        logging.WARNING, "the burst waits until these endings are written", jobs=e.count, why=_reason(e.error)
    ),
    events.EndingsUnwritten: lambda e: _say(
        logging.ERROR,
        "endings could not be written before the worker stopped; their jobs run again",
        jobs=e.count,
        why=_reason(e.error),
    ),
    events.SuspectStarted: _suspect_started,
    events.JobsClaimed: _claimed,
    events.SuspectsSeen: lambda e: None,  # For the supervisor, which starts a process for them.
    events.WorkerStarted: lambda e: _say(logging.INFO, "worker started", worker=e.worker_id),
    events.WorkerStopped: lambda e: _say(
        logging.INFO, "worker stopped", worker=e.worker_id, given_back=e.given_back
    ),
    events.WorkerDied: lambda e: _say(
        logging.WARNING, "rescued the jobs of dead workers", jobs=e.rescued, workers=len(e.worker_ids)
    ),
    events.StaleJobsFound: lambda e: _say(logging.WARNING, "ended jobs that went silent", jobs=e.count),
    events.JobsExpired: lambda e: _say(logging.WARNING, "ended jobs whose deadline had passed", jobs=e.count),
    events.OverlookedJobsReleased: lambda e: _say(
        logging.WARNING, "let in jobs that waited although nothing held them", jobs=e.count
    ),
    events.OrphanedJobsHinted: lambda e: _say(logging.INFO, "hinted jobs that nobody claimed", jobs=e.count),
    events.UnservedJobsFound: lambda e: _say(
        logging.WARNING,
        "jobs wait for a worker that knows their type",
        jobs=sum(e.counts.values()),
        job_types=",".join(sorted(e.counts)[:10]),
    ),
    events.TicksFired: lambda e: _say(
        logging.INFO if e.enqueued else logging.DEBUG,
        "schedules fired",
        enqueued=e.enqueued,
        without_job=e.passed_over,
    ),
    events.ScheduleDisabled: lambda e: _say(
        logging.ERROR, "a schedule cannot be read and was disabled", schedule=e.name, why=e.reason
    ),
    events.JobsPruned: lambda e: _pruned(e),
    events.LostClaimsGivenBack: lambda e: _say(
        logging.WARNING, "gave back claims whose commit had no reply", jobs=e.count
    ),
    events.DrainRequested: lambda e: _say(logging.INFO, "was asked to drain", worker=e.worker_id),
    events.RecycleBegun: lambda e: _say(
        logging.WARNING, "is replaced by another process", worker=e.worker_id, why=e.reason
    ),
    events.ProcessLimitReached: lambda e: _say(
        logging.INFO, "has reached a limit of its pool", worker=e.worker_id, why=e.reason
    ),
    events.LeaseLost: lambda e: _say(
        logging.ERROR, "was declared dead, continues as a new worker", old=e.worker_id, new=e.new_worker_id
    ),
    events.EngineBroken: lambda e: _engine_broken(e),
    events.StoreUnavailable: lambda e: _store_unavailable(e),
    events.StoreBack: lambda e: _say(logging.INFO, "the database answers again", during=e.operation),
    events.HintsUnavailable: lambda e: _say(
        logging.WARNING, "Redis does not answer, jobs are found by scanning", error=type(e.error).__name__
    ),
    events.HintsBack: lambda e: _say(logging.INFO, "Redis answers again"),
}


def _pruned(event: events.JobsPruned) -> None:
    if event.kept:
        message = (
            "deleted finished jobs whose retention is over; others stay: referred to, or deleting them failed"
        )
        _say(logging.WARNING, message, jobs=event.deleted, kept=event.kept)
    else:
        _say(logging.INFO, "deleted finished jobs whose retention is over", jobs=event.deleted)


def _reason(error: BaseException | None) -> str:
    """Return in one line what went wrong, with the words of the database or the engine alone.

    What follows their first line quotes rows, and what other exceptions say may be anybody's.
    """
    if error is None:
        return "no time was left"
    name = type(error).__name__
    # Of a DataError the first line quotes the value too.
    if isinstance(error, DatabaseError | InterfaceError | StoreError) and not isinstance(error, DataError):
        return f"{name}: {first_line(error)[:REASON_MAX_LENGTH]}"
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    return f"{name} at {frames[0].filename}:{frames[0].lineno}" if frames else name


_sending: set[asyncio.Task[Any]] = set()


def _send(signal: Signal, job: AnyJob, **payload: Any) -> None:
    send(signal, sender=type(job), job=job, **payload)


def send(signal: Signal, **payload: Any) -> None:
    """Send a signal from any thread of a worker: in that of the event loop without waiting for its receivers."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        signal.send_robust(**payload)
        return
    # In the thread of the event loop of all async jobs: beside the handler, since an async receiver cannot be
    # waited for here, and a sync one may neither use the ORM here nor hold up the other jobs.
    task = loop.create_task(signal.asend_robust(**payload))
    _sending.add(task)
    task.add_done_callback(_sending.discard)


def _engine_broken(event: events.EngineBroken) -> None:
    what = "an unexpected error has ended a thread of the worker; the worker drains and exits"
    logger.critical("%s thread=%s", what, event.thread, exc_info=event.error)


def _store_unavailable(event: events.StoreUnavailable) -> None:
    error = event.error
    state = getattr(error.__cause__, "sqlstate", None) or ""
    if isinstance(error, OperationalError | InterfaceError) and state[:2] in _AWAY_CLASSES:
        what = "the database does not answer"
    elif isinstance(error, DatabaseError | InterfaceError | StoreError):
        what = "the database refuses a statement of the engine"
    else:
        what = "the engine met an unexpected error, and tries again"
    fields: dict[str, Any] = {"sqlstate": state} if state else {}
    name = type(error).__name__
    _say(logging.ERROR, what, during=event.operation, error=name, **fields, why=_reason(error))


# The SQLSTATEs of a server that is not there for anybody now; "" where there was no answer at all.
_AWAY_CLASSES = frozenset({"", "08", "53", "57", "58"})


def _log(level: int, what: str, job: AnyJob, failure: Failure | None = None, **fields: Any) -> None:
    _say(level, f"job {what}", failure, job_id=str(job.id), job_type=job.job_type, **fields)


def _say(level: int, what: str, failure: Failure | None = None, /, **fields: Any) -> None:
    """Log ``what`` with its fields: as text behind it, and as attributes for a structured formatter."""
    text = " ".join(f"{key}={value}" for key, value in fields.items())
    extra: dict[str, Any] = {"pleme_event": what, "pleme_fields": fields}
    if failure is not None:
        extra["pleme_failure"] = HiddenFailure(failure)
    logger.log(level, "%s %s", what, text, extra=extra)
