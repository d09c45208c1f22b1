"""SoloTurns: runs jobs whose worker process died before, each alone in its process.

When a process dies, every job that it held is a suspect. Running them one at a time tells the one
that kills from its innocent batch-mates: only a death while alone is charged to a job. The rows of
a process that died say which case it was, because ``started_at`` of a solo job is written before
its handler is called.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pleme_redis_django.jobs.events import EventSink, SoloStarted
from pleme_redis_django.jobs.holdings import HeldJob, Holdings
from pleme_redis_django.jobs.store import JobStore

if TYPE_CHECKING:
    from pleme_redis_django.jobs.claimer import Claimer

# How long a process stops claiming to get rid of its other jobs. It grows with each vain try, so
# that long jobs are not held up at once, and a suspect still gets its turn in the end.
FIRST_PATIENCE_SECONDS = 10.0
PAUSE_BETWEEN_TRIES_SECONDS = 30.0
_WAIT_SECONDS = 0.1


class SoloTurns:
    """The claimer's way of emptying the process for one job at a time."""

    def __init__(self, claimer: Claimer, store: JobStore[Any], holdings: Holdings, sink: EventSink) -> None:
        self.pending = False
        """Whether suspects may be ready."""
        self._claimer = claimer
        self._store = store
        self._holdings = holdings
        self._sink = sink
        self._alone: HeldJob | None = None
        self._patience_seconds = FIRST_PATIENCE_SECONDS
        self._waiting_since: float | None = None
        self._not_before = 0.0

    def turn(self) -> float | None:
        """Go one step; return how long to wait, or None when ordinary claiming may go on."""
        now = time.monotonic()
        if len(self._holdings):
            return self._wait_for_the_others(now)
        self._alone = self._waiting_since = None
        self._patience_seconds = FIRST_PATIENCE_SECONDS
        claimed = self._claimer.claim(1, suspects=True)
        if not claimed:
            self.pending = False
            return None
        self._start(claimed[0])
        return _WAIT_SECONDS

    def _wait_for_the_others(self, now: float) -> float | None:
        if self._alone is None:
            if now < self._not_before:
                return None
            self._waiting_since = self._waiting_since or now
            if now - self._waiting_since > self._patience_seconds:
                self._waiting_since = None
                self._patience_seconds *= 2
                self._not_before = now + PAUSE_BETWEEN_TRIES_SECONDS
                return None
        self._holdings.wait_until_empty(_WAIT_SECONDS)
        return 0.0

    def _start(self, held: HeldJob) -> None:
        context = held.context
        try:
            started = self._store.mark_job_running(context.job.id, claim=context.claim)
        except BaseException:
            # Not held any more, it is found and given back as a claim that got lost.
            self._holdings.remove([held])
            raise
        if not started:
            self._holdings.remove([held])
            return
        held.start_recorded = True
        self._alone = held
        self._sink.emit(SoloStarted(context.job))
        self._claimer.submit_alone(held)
