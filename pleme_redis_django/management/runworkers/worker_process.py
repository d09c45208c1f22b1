"""A worker process: runs one pool until it is told to stop, or its supervisor is gone."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from django.db import DatabaseError

from pleme_redis_django.conf import get_settings
from pleme_redis_django.configured_pools import ConfiguredPool
from pleme_redis_django.event_log import EngineEvents, first_line
from pleme_redis_django.job_stores import job_store
from pleme_redis_django.jobs.interface.events import (
    DrainRequested,
    Event,
    EventSink,
    JobEnded,
    ProcessLimitReached,
    RecycleBegun,
    SuspectsSeen,
    WorkerStopped,
)
from pleme_redis_django.jobs.worker.isolation import Isolation, WarmProcess, WarmProcesses
from pleme_redis_django.jobs.worker.suspects import SuspectRule
from pleme_redis_django.jobs.worker_pool.pool import WorkerPool
from pleme_redis_django.management.runworkers.agreement import (
    END_GRACE_SIGNAL,
    EXIT_BROKEN,
    EXIT_CANNOT_START,
    EXIT_DRAINED,
    EXIT_GAVE_BACK,
    EXIT_OK,
    EXIT_RECYCLED,
)
from pleme_redis_django.management.runworkers.database import bound_database_waits
from pleme_redis_django.management.runworkers.inheritance import (
    keep_descriptors,
    reset_signals_in_forked_children,
)
from pleme_redis_django.management.runworkers.options import FromSupervisor, RunOptions
from pleme_redis_django.management.runworkers.process_end import BoundedEnd, end_now
from pleme_redis_django.management.runworkers.thread_watch import ThreadWatch

if TYPE_CHECKING:
    from pleme_redis_django.management.runworkers.presence_watch import PresenceWatch

# Threads that run handlers and the thread that claims take turns more often than Python's 5 ms,
# so that a claim does not wait while a handler computes.
SWITCH_INTERVAL_SECONDS = 0.002
# Objects made between two searches of the youngest generation, and so many of those for one of the next:
# a claim of hundreds of jobs makes thousands that are not garbage.
COLLECTOR_THRESHOLDS = (50_000, 20, 50)
REPORT_INTERVAL_SECONDS = 0.1
SUSPECTS_INTERVAL_SECONDS = 1.0
# Much less than the shortest silence that a supervisor takes for a hang.
BEAT_SECONDS = 5.0
BURST_LOOK_SECONDS = 0.05
# The last counts are worth a moment of the shutdown and no more.
STATISTICS_SECONDS = 5.0

logger = logging.getLogger("pleme_redis_django.worker_process")


class PoolBuilder(Protocol):
    """Builds the pool that a process runs."""

    def __call__(
        self,
        parts: ConfiguredPool,
        *,
        worker_id: str,
        sink: EventSink,
        burst: bool,
        release: str,
        page_fd: int | None,
        suspects: SuspectRule,
        has_supervisor: bool,
        isolation: Isolation,
    ) -> WorkerPool[Any]: ...


class WorkerProcessRun:
    """The life of one worker process."""

    def __init__(
        self, parts: ConfiguredPool, options: RunOptions, given: FromSupervisor, build_pool: PoolBuilder
    ) -> None:
        from pleme_redis_django.metrics.recorder import statistics_of

        # A quarantine process ends when no suspect is left.
        self._ends_when_dry = options.burst or given.is_quarantine
        events = EngineEvents()
        self._statistics = statistics_of(
            parts.model, events, worker_id=lambda: self._pool.identity.worker_id, burst=self._ends_when_dry
        )
        self._stop = StopRequest()
        # A pool that was asked to drain stops by itself.
        self._reporter = Reporter(
            self._statistics.tallies.counter,
            given.report_fd,
            on_stopped=self._stop.make,
            counts=options.burst,
        )
        self._pool = build_pool(
            parts,
            worker_id=given.worker_id,
            sink=self._reporter,
            burst=options.burst,
            release=options.release,
            page_fd=given.page_fd,
            suspects=SuspectRule.ONLY if given.is_quarantine else SuspectRule.REPORTED,
            has_supervisor=given.report_fd is not None,
            isolation=WarmProcesses(self._start_isolated),
        )
        self._options = options
        self._parts = parts
        self._presence = None if self._ends_when_dry else presence_watch(given.worker_id)
        self._burst = options.burst and not given.is_quarantine
        self._given = given
        self._end = BoundedEnd()
        self._threads = ThreadWatch(self._stop.make)
        keep_descriptors([given.lifeline_fd, given.report_fd])
        if given.page_fd is not None:
            os.close(given.page_fd)  # It is mapped by now.

    def run(self) -> int:
        """Run until stopped; return the exit code, and see to it that the process ends."""
        code = self._run_pool()
        if code in (EXIT_GAVE_BACK, EXIT_BROKEN) or (
            code == EXIT_RECYCLED and not self._reporter.has_reached_limit
        ):
            # The threads of handlers that were given back, or did not heed their timeout, still run.
            end_now(code)
        self._end.begin(code)
        return code

    def _run_pool(self) -> int:
        sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
        self._threads.begin()
        spare_the_collector()
        bound_database_waits(self._parts.config.lease_seconds, jobs_alias=get_settings().database)
        self._listen_to_signals()
        threading.Thread(target=self._watch_lifeline, name="pleme-lifeline", daemon=True).start()
        threading.Thread(target=self._reporter.beat, name="pleme-beat", daemon=True).start()
        if self._burst:
            try:
                self._reporter.report(total=job_store(self._parts).count_claimable_jobs())
            except DatabaseError as error:
                logger.error("The database cannot be used: %s.", first_line(error))
                return EXIT_CANNOT_START
        for death in self._given.replaces:
            self._pool.rescue_jobs_of(death)
        self._pool.launch()
        if self._presence is not None:
            self._presence.start()
        self._statistics.start()
        while not self._stop.is_made and not self._pool.has_run_dry():
            self._stop.wait(BURST_LOOK_SECONDS if self._ends_when_dry else None)
        if self._presence is not None:
            self._presence.stop()
        self._pool.stop()
        self._statistics.stop(STATISTICS_SECONDS)
        self._reporter.report()
        is_broken = self._threads.is_broken or self._pool.error is not None
        return EXIT_BROKEN if is_broken else self._reporter.exit_code()

    def _listen_to_signals(self) -> None:
        # Ctrl-C and the end of a terminal reach the whole process group; the supervisor alone decides what
        # they mean. Not SIG_IGN: that would survive exec, and what handlers start could not be interrupted.
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(END_GRACE_SIGNAL, self._on_signal)
        reset_signals_in_forked_children([signal.SIGINT, signal.SIGHUP, signal.SIGTERM, END_GRACE_SIGNAL])

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        # A first SIGTERM never ends the grace, even when it arrives after the supervisor's word to
        # drain: a service manager sends one to the whole group, and signals come late on a busy machine.
        if number == END_GRACE_SIGNAL or self._stop.is_by_sigterm:
            self._pool.end_grace()
            self._end.hurry()
        self._stop.is_by_sigterm |= number == signal.SIGTERM
        self._stop.make()

    def _start_isolated(self) -> WarmProcess:
        # Imported for the first isolated job: most workers have none.
        from pleme_redis_django.management.runworkers.isolated_program import start_isolated

        return start_isolated(self._parts, self._options)

    def _watch_lifeline(self) -> None:
        """Drain when the supervisor's end of the pipe closes: it says so, or is gone, however it went.

        What it writes there says that another process has taken this one's place.
        """
        while os.read(self._given.lifeline_fd, 1024):
            self._pool.recycle()
        self._stop.make()


def presence_watch(worker_id: str) -> PresenceWatch | None:
    """Return what sweeps presence beside the pool, None without Redis, whose modules are then not imported."""
    if get_settings().url is None:
        return None
    from pleme_redis_django.management.runworkers.presence_watch import PresenceWatch

    return PresenceWatch(worker_id)


class StopRequest:
    """Whether this process is to stop; made by signal handlers too, which interrupt each other and the wait."""

    def __init__(self) -> None:
        self.is_made = False
        self.is_by_sigterm = False
        # Reentrant, which Event.set() is not.
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()

    def make(self) -> None:
        """Ask for the stop; from any thread or signal handler."""
        self.is_made = True
        self._wake.put(None)

    def wait(self, timeout_seconds: float | None) -> None:
        """Wait until somebody asks, or the time is over."""
        with contextlib.suppress(queue.Empty):
            self._wake.get(timeout=timeout_seconds)


def spare_the_collector() -> None:
    """Take what is loaded out of Python's search for cyclic garbage, and have it search less often.

    With the defaults of Python that is a tenth of the processor time of a busy worker.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)


class Reporter:
    """Passes events on, and tells the supervisor that this process lives and how many jobs have ended."""

    def __init__(
        self,
        sink: EventSink,
        report_fd: int | None,
        *,
        counts: bool,
        on_stopped: Callable[[], None] = lambda: None,
    ) -> None:
        self._sink = sink
        self._on_stopped = on_stopped
        self._fd = report_fd
        if report_fd is not None:
            # A supervisor that does not read must not keep a thread of the engine waiting.
            os.set_blocking(report_fd, False)
        self._counts = counts
        self._ended = 0
        self._next_report = 0.0
        self._next_suspects = 0.0
        self._given_back_running = 0
        self._drain_requested = False
        self._recycles = False
        self.has_reached_limit = False
        self._wants_replacement = False

    def emit(self, event: Event) -> None:
        """Count the event and pass it on."""
        if isinstance(event, JobEnded):
            self._ended += 1
            if self._counts and time.monotonic() >= self._next_report:
                self.report()
        elif isinstance(event, SuspectsSeen):
            self.report_suspects()
        elif isinstance(event, DrainRequested):
            self._drain_requested = True
        elif isinstance(event, ProcessLimitReached | RecycleBegun):
            self._recycles |= isinstance(event, RecycleBegun)
            self.has_reached_limit |= isinstance(event, ProcessLimitReached)
            # In every line from now on: one may be lost.
            self._wants_replacement = True
            self.report()
        elif isinstance(event, WorkerStopped):
            self._given_back_running = event.given_back_running
            self._on_stopped()
        self._sink.emit(event)

    def exit_code(self) -> int:
        """Return what the process ends with, once its pool has stopped."""
        if self._given_back_running:
            return EXIT_GAVE_BACK
        if self._recycles:
            return EXIT_RECYCLED
        return EXIT_DRAINED if self._drain_requested else EXIT_OK

    def beat(self) -> None:
        """Report for ever: what holds the interpreter's lock, or has stopped the process, ends this."""
        while self._fd is not None:
            self.report()
            time.sleep(BEAT_SECONDS)

    def report_suspects(self) -> None:
        """Tell the supervisor that suspects are ready, at most once a second."""
        if time.monotonic() >= self._next_suspects:
            self._next_suspects = time.monotonic() + SUSPECTS_INTERVAL_SECONDS
            self._write({"ended": self._ended, "suspects": True})

    def report(self, total: int | None = None) -> None:
        """Write one line to the supervisor's pipe."""
        self._next_report = time.monotonic() + REPORT_INTERVAL_SECONDS
        self._write({"ended": self._ended} if total is None else {"ended": self._ended, "total": total})

    def _write(self, line: dict[str, int]) -> None:
        if self._fd is None:
            return
        if self._wants_replacement:
            line["replace"] = True
        try:
            os.write(self._fd, json.dumps(line).encode() + b"\n")
        except BlockingIOError:
            pass  # The next line tells the same and more.
        except OSError:
            self._fd = None
