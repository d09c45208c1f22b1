"""job_context: what a handler gets as ``ctx``, made by a test that calls the handler itself.

Nothing is stored: reports of progress are kept in a list, and a cancel is asked for by the test.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextvars import Token
from types import TracebackType
from typing import Any, Self

from pleme_redis_django.conf import get_settings
from pleme_redis_django.jobs.interface.context import JobContext, _current
from pleme_redis_django.jobs.interface.job import AnyJob, JobClaim, JobStatus


class RecordingJobContext(JobContext):
    """A JobContext for tests; in a ``with`` block, ``current_job_context()`` returns it too."""

    __slots__ = ("_cancel_at_report", "_token", "reports")

    def __init__(self, job: AnyJob, claim: JobClaim, cancel_at_report: int | None) -> None:
        super().__init__(job, claim, _record)
        self.reports: list[Mapping[str, Any]] = []
        """Every report of progress, the oldest first: ``{"done": 1, "total": 3, "note": "importing"}``."""
        self._cancel_at_report = cancel_at_report
        self._token: Token[JobContext | None] | None = None

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            _current.reset(self._token)
            self._token = None


def job_context(
    job: Any = None, *, attempt: int = 1, cancel_at_report: int | None = None
) -> RecordingJobContext:
    """Return a context to call a handler with: ``import_catalog(job_context(), rows=3)``.

    ``job``: what ``ctx.job`` is (default: an unsaved ``Job`` of the default product). ``attempt``: what
    ``ctx.attempt`` is. ``cancel_at_report``: with which report of progress ``cancel_requested`` turns true;
    ``request_cancel()`` of what is returned turns it true at once.
    """
    claim = JobClaim(worker_id=str(uuid.uuid4()), attempt=attempt)
    return RecordingJobContext(job or _unsaved_job(claim), claim, cancel_at_report)


def _unsaved_job(claim: JobClaim) -> Any:
    from pleme_redis_django.models import Job

    return Job(
        product=get_settings().product or "default",
        status=JobStatus.RUNNING.value,
        worker_id=uuid.UUID(claim.worker_id),
        attempt=claim.attempt,
    )


def _record(context: JobContext) -> None:
    assert isinstance(context, RecordingJobContext)
    if (report := context.take_unwritten_progress()) is not None:
        context.reports.append(report)
    if len(context.reports) == context._cancel_at_report:
        context.request_cancel()
