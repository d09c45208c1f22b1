"""JobContext: what a running handler is given, and the way it reports progress."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

from pleme_redis_django.exceptions import InvalidParameters
from pleme_redis_django.interruption import uninterrupted
from pleme_redis_django.jobs.interface.bounds import NO_BOUNDS
from pleme_redis_django.jobs.interface.job import AnyJob, JobClaim
from pleme_redis_django.jobs.interface.json_text import storable_text

NOTE_MAX_BYTES = 500
# A larger count is a mistake, and JavaScript would show another number.
MAX_COUNT = 2**53

ProgressListener = Callable[["JobContext"], None]


class JobContext:
    """The attempt that a handler is running, given to it as ``ctx``."""

    __slots__ = (
        "_cancel_requested",
        "_hides_failure",
        "_on_progress",
        "_own_parameters",
        "_unwritten",
        "bounds",
        "claim",
        "ends_at",
        "job",
        "timed_out",
    )

    def __init__(self, job: AnyJob, claim: JobClaim, on_progress: ProgressListener) -> None:
        self.job = job
        self.claim = claim
        self._on_progress = on_progress
        self._unwritten: dict[str, Any] | None = None
        self._cancel_requested = False
        self.bounds = NO_BOUNDS
        """Of this attempt, for the engine."""
        self.ends_at: float | None = None
        """Monotonic seconds when the attempt times out; None: it does not."""
        self.timed_out = False
        """Whether the attempt has run for longer than its timeout."""

    @property
    def attempt(self) -> int:
        """The number of this attempt; the first is 1."""
        return self.claim.attempt

    @property
    def product(self) -> str | None:
        """The job's product; what the handler enqueues inherits it."""
        return getattr(self.job, "product", None)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What the handler is called with: those of the row, unless a middleware has set others."""
        return self._own_parameters if self.has_own_parameters else self.job.parameters

    @parameters.setter
    def parameters(self, parameters: Mapping[str, Any]) -> None:
        self._own_parameters = parameters

    @property
    def has_own_parameters(self) -> bool:
        """Whether a middleware has set other parameters than the row has."""
        # Most attempts have none, and each name that is set at the start costs every job.
        return hasattr(self, "_own_parameters")

    @property
    def hides_failure(self) -> bool:
        """Whether nothing is kept of what an exception says, since it may quote parameters that are encrypted."""
        return getattr(self, "_hides_failure", False)

    @hides_failure.setter
    def hides_failure(self, hides: bool) -> None:
        self._hides_failure = hides

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody asked to cancel the job; a handler then raises JobCancelled, or goes on."""
        return self._cancel_requested

    def remaining(self) -> float | None:
        """Return the seconds until the attempt times out, 0 or less once it has; None: it has no timeout."""
        return None if self.ends_at is None else self.ends_at - time.monotonic()

    def fence(self) -> int:
        """Return the number to write beside what the handler writes elsewhere; a later attempt has a larger one."""
        return self.claim.attempt

    def guard(self, rows: Any, *, fence_field: str = "fence") -> Any:
        """Return what writes to a queryset unless a later attempt of the job has: ``ctx.guard(rows).update(...)``.

        ``fence_field``: an integer field of the model, which keeps the attempt that wrote last.
        """
        if not _guards:
            raise RuntimeError("ctx.guard() is for querysets of Django: call it after django.setup().")
        return _guards[0](self, rows, fence_field)

    @uninterrupted
    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Report that ``done`` of ``total`` items are done; cheap enough to call for each.

        At most one report a second is written, and the last one always is. A report also proves
        that the job is alive. Raises InvalidParameters for a number that is negative or not finite.
        """
        report = {"done": _finite("done", done)}
        if total is not None:
            report["total"] = _finite("total", total)
        if note:
            report["note"] = storable_text(str(note), max_bytes=NOTE_MAX_BYTES)
        self.take_over(report)

    def take_over(self, report: dict[str, Any]) -> None:
        """Take a report that the handler has made, here or in a process of its own, for the engine to write."""
        self._unwritten = report
        self._on_progress(self)

    def take_unwritten_progress(self) -> Mapping[str, Any] | None:
        """Return the latest report unless it was taken before, for the engine to write."""
        report, self._unwritten = self._unwritten, None
        return report

    def keep_unwritten(self, report: Mapping[str, Any]) -> None:
        """Take back a report that could not be written, unless there is a newer one."""
        if self._unwritten is None:
            self._unwritten = dict(report)

    def request_cancel(self) -> None:
        """Make ``cancel_requested`` true, for the engine to call."""
        self._cancel_requested = True


_guards: list[Callable[[JobContext, Any, str], Any]] = []


def bind_guard(guard: Callable[[JobContext, Any, str], Any]) -> None:
    """Make ``ctx.guard()`` use ``guard``; the Django side does it when apps are ready."""
    _guards[:] = [guard]


_current: ContextVar[JobContext | None] = ContextVar("pleme_redis_django_job", default=None)


def current_job_context() -> JobContext | None:
    """Return the context of the job that the calling code runs in, or None outside a job."""
    return _current.get()


def _finite(name: str, value: object) -> Any:
    if type(value) is int and 0 <= value <= MAX_COUNT:
        return value
    if isinstance(value, float) and math.isfinite(value) and value >= 0:
        return value
    # Python refuses to print the decimal digits of a huge integer.
    shown = hex(value) if isinstance(value, int) and abs(value) > MAX_COUNT else repr(value)
    raise InvalidParameters(
        f"progress({name}={shown[:40]}): accepted is a finite number of 0 or more, such as a count of items."
    )
