"""TimeLimits: the one timer of a process, for the timeouts of all jobs that run in it.

A job that starts is written into a dict, and the timer's thread is woken only where it would sleep past the job's
timeout: no thread and no system call for each job.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from pleme_redis_django.jobs.interface.bounds import DEFAULT_KILL_AFTER_SECONDS
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.engine_thread import EngineThread
from pleme_redis_django.jobs.worker.holdings import HeldJob

NEVER = float("inf")


class TimedLane(Protocol):
    """What is told that a job's time is over."""

    def time_out(self, held: HeldJob) -> None:
        """Tell the handler."""
        ...

    def give_up(self, held: HeldJob) -> None:
        """End the attempt without its handler, which did not heed."""
        ...


class _Timed:
    __slots__ = ("due_at", "held", "is_told", "lane")

    def __init__(self, held: HeldJob, lane: TimedLane, due_at: float) -> None:
        self.held = held
        self.lane = lane
        self.due_at = due_at
        self.is_told = False


class TimeLimits:
    """Running jobs that have a timeout, by the slot that runs them."""

    def __init__(self, agenda: Agenda, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._timed: dict[int, _Timed] = {}
        self._wakes_at = NEVER
        self._wake = threading.Event()
        self._is_over = False
        self._thread = EngineThread(self._run, "time-limits", agenda)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; it is not waited for."""
        self._is_over = True
        self._wake.set()

    def begin(self, slot: int, held: HeldJob, lane: TimedLane, ends_at: float) -> None:
        """A slot begins a job that has to end by then."""
        self._timed[slot] = _Timed(held, lane, ends_at)
        if ends_at < self._wakes_at:
            self._wake.set()

    def end(self, slot: int) -> None:
        """A slot has ended what it ran."""
        self._timed.pop(slot, None)

    def _run(self) -> None:
        while not self._is_over:
            wait_seconds = self.turn()
            self._wake.wait(None if wait_seconds == NEVER else max(wait_seconds, 0.0))

    def turn(self) -> float:
        """See to what is due; return the seconds until something is."""
        # Before the look: a job that begins meanwhile is due earlier than that, and wakes the thread again.
        self._wakes_at = NEVER
        self._wake.clear()
        now = self._clock()
        for timed in list(self._timed.values()):
            if timed.due_at <= now:
                self._see_to(timed)
        next_at = min((timed.due_at for timed in list(self._timed.values())), default=NEVER)
        self._wakes_at = next_at
        return next_at - now

    def _see_to(self, timed: _Timed) -> None:
        if not timed.is_told:
            timed.is_told = True
            timed.due_at += kill_after_seconds(timed.held)
            timed.lane.time_out(timed.held)
        else:
            timed.due_at = NEVER
            timed.lane.give_up(timed.held)


def kill_after_seconds(held: HeldJob) -> float:
    """Return how long after its timeout an attempt is ended without its handler."""
    seconds = held.context.bounds.kill_after
    return DEFAULT_KILL_AFTER_SECONDS if seconds is None else seconds
