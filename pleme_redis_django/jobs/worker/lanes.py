"""What every lane does with a claimed job: starts it or lets it go, counts it, and gives it up.

A lane's counters have one writer each, and readers that may see them a moment late: no lock is
taken per job.
"""

from __future__ import annotations

import dataclasses
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

from pleme_redis_django.exceptions import JobTimeout
from pleme_redis_django.jobs.interface.context import JobContext
from pleme_redis_django.jobs.interface.endings import Ending
from pleme_redis_django.jobs.interface.events import EventSink, JobStarted
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.clearance import Clearance
from pleme_redis_django.jobs.worker.executing_page import ExecutingPage
from pleme_redis_django.jobs.worker.holdings import HeldJob, ending_if_unfinished
from pleme_redis_django.jobs.worker.runner import JobRunner
from pleme_redis_django.jobs.worker.time_limits import TimeLimits

# A job that keeps coming back waits for the record of its start, and no longer than this when the store is away.
LONGEST_RECORD_SECONDS = 1.0
RECORD_LOOK_SECONDS = 0.01


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LaneDuties:
    """What a lane calls: it runs jobs, and decides nothing about them."""

    runner: JobRunner
    finish: Callable[[HeldJob, Ending], None]
    sink: EventSink
    clearance: Clearance
    agenda: Agenda
    on_another_start: Callable[[], None]
    """A job starts that had been given back before."""
    executing: ExecutingPage
    limits: TimeLimits


class CountingLane(ABC):
    def __init__(
        self,
        slots: int,
        duties: LaneDuties,
        job_types: frozenset[str] | None = None,
        *,
        first_slot: int = 0,
    ) -> None:
        self.slots = slots
        self.job_types = job_types
        self.low_water = -1
        self._duties = duties
        self._first_slot = first_slot
        self._submitted = 0
        self._taken = 0

    def _begin(self, held: HeldJob, slot: int) -> bool:
        """Start a job, or let it go: it was cancelled or deleted, or this process may not start any."""
        context = held.context
        context.bounds = bounds = self._duties.runner.bounds_of(context.job)
        # Before its time begins: a process of its own may have to be started.
        runs_apart = bounds.isolated and self._reserve_process(context)
        if (
            context.cancel_requested
            or held.unwanted
            or (held.expires_at is not None and held.has_expired())
            or not self._duties.clearance.may_start(held)
        ):
            if runs_apart:
                self._release_process(context)
            self._duties.finish(held, ending_if_unfinished(held))
            return False
        held.started_at, held.slot = time.monotonic(), slot
        if bounds.timeout is not None:
            context.ends_at = held.started_at + bounds.timeout
            self._duties.limits.begin(slot, held, self, context.ends_at)
        if not runs_apart:  # It could not be what ends this process.
            self._duties.executing.begin(slot, context.job.id, context.claim.attempt)
        if held.runs_again:
            self._duties.on_another_start()
        self._duties.sink.emit(JobStarted(context.job))
        return True

    def time_out(self, held: HeldJob) -> None:
        """Tell the handler of a running job that its time is over, from any thread."""
        held.context.timed_out = True
        self._interrupt(held, JobTimeout)

    def _reserve_process(self, context: JobContext) -> bool:
        """Have a process ready in which the attempt runs apart; return whether it does."""
        return False

    def _release_process(self, context: JobContext) -> None:  # noqa: B027 - a hook, for a lane that waits for one
        """Let others have the process."""

    def give_up(self, held: HeldJob) -> None:
        """End an attempt without its handler, which did not heed its timeout.

        The process ends too, since nothing can run in a thread that waits for ever, and its slot stays taken. An
        attempt that runs apart takes only its own process with it.
        """
        isolation = self._duties.runner.isolation
        if isolation is not None and isolation.kill(held.context, JobTimeout()):
            return
        held.given_back = True
        run_seconds = 0.0 if held.started_at is None else time.monotonic() - held.started_at
        self._duties.finish(held, self._duties.runner.ending_of(JobTimeout(), held.context, run_seconds))
        self._duties.agenda.leaving.recycle(f"the handler of job {held.job.id} did not heed its timeout")

    @abstractmethod
    def _interrupt(self, held: HeldJob, kind: type[BaseException]) -> None:
        """Raise ``kind`` in a handler that runs."""

    def take_blocked(self) -> list[HeldJob]:
        """Take back what can never go on here, because a handler that was given up is in its way."""
        return []

    def _waits_for_its_record(self, held: HeldJob) -> bool:
        """Whether the handler is to wait, because its start is not written yet.

        A handler that holds the interpreter's lock for longer than the lease silences its whole process at once. A job
        whose start was not written by then is taken for prefetched: it would come back for ever, and never be counted.
        """
        if held.start_recorded or held.started_at is None:
            return False
        return time.monotonic() - held.started_at < LONGEST_RECORD_SECONDS

    def _end_unexpectedly(self, held: HeldJob, error: BaseException) -> None:
        """End an attempt that raised what nobody expected, so that no job is left without an ending."""
        self._duties.finish(held, self._duties.runner.ending_of(error, held.context))
